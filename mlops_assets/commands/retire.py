"""``mlops-assets retire`` and ``reinstate``: out of service in the open, and back."""

from mlops_assets.commands import card
from mlops_assets.lifecycle.settings import Settings


def add_to(commands) -> None:
    """Add the commands to a parser."""
    parser = commands.add_parser(
        "retire", help="take a model out of service: its endpoint answers 410, its record stays"
    )
    parser.add_argument("model")
    parser.add_argument("--reason", required=True, help="for clients and the rollout journal")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--successor", metavar="MODEL", help="the model to ask instead")
    where.add_argument("--pointer", metavar="URL", help="where clients can read what to do")
    parser.set_defaults(command=run)
    back = commands.add_parser("reinstate", help="bring a retired model back into service")
    back.add_argument("model")
    back.add_argument("--reason", required=True, help="for the rollout journal")
    back.set_defaults(command=reinstate)


def run(options) -> int:
    """Retire."""
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout import retirement
    from mlops_assets.lifecycle.rollout.journal import Journal

    settings = Settings.from_environment()
    entry = retirement.retire(
        Registry(settings),
        Journal(settings.database_url),
        options.model,
        who=options.who,
        why=options.reason,
        successor=options.successor,
        pointer=options.pointer,
    )
    print(f"{entry.model}: retired since {entry.at} by {entry.who}; v{entry.version} was champion")
    card.renew(options, entry)
    return 0


def reinstate(options) -> int:
    """Reinstate."""
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout import retirement
    from mlops_assets.lifecycle.rollout.journal import Journal

    settings = Settings.from_environment()
    entry = retirement.reinstate(
        Registry(settings),
        Journal(settings.database_url),
        options.model,
        who=options.who,
        why=options.reason,
    )
    print(f"{entry.model}: back in service; v{entry.version} is champion")
    card.renew(options, entry)
    return 0
