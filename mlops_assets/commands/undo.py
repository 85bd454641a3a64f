"""``mlops-assets rollback``: the version that was champion before, in one step."""

from mlops_assets.commands import card
from mlops_assets.lifecycle.settings import Settings


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("rollback", help="make the previous champion the champion")
    parser.add_argument("model")
    parser.add_argument("--why", default="rolled back by hand", help="for the rollout journal")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Roll back."""
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout.history import ABORT
    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.lifecycle.rollout.promotion import rollback

    settings = Settings.from_environment()
    journal = Journal(settings.database_url)
    entry = rollback(Registry(settings), journal, options.model, options.who, options.why)
    if entry.state == "void":
        print(f"{entry.model}: the {entry.action} of v{entry.version} was {entry.why}")
    elif entry.action == ABORT:
        print(
            f"{entry.model}: v{entry.version} was on its way and is taken back; "
            f"v{entry.champion_before}, the champion, answers everybody"
        )
    else:
        print(f"{entry.model}: v{entry.version} is champion again, v{entry.champion_before} is not")
    card.renew(options, entry)
    return 0
