"""``mlops-assets conclude``: a person ends a comparison of two versions by names."""

from mlops_assets.commands import card
from mlops_assets.lifecycle.settings import Settings


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("conclude", help="end an A/B comparison: one variant serves all")
    parser.add_argument("model")
    parser.add_argument("keep", metavar="NAME", help="of the split: the variant that stays")
    parser.add_argument("--why", required=True, help="for the rollout journal")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Conclude."""
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout.history import ABORT
    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.lifecycle.rollout.steps import conclude

    settings = Settings.from_environment()
    entry = conclude(
        Registry(settings),
        Journal(settings.database_url),
        options.model,
        options.keep,
        who=options.who,
        why=options.why,
    )
    serves = entry.champion_before if entry.action == ABORT else entry.version
    print(f"{entry.model}: {options.keep}, v{serves}, answers everybody")
    card.renew(options, entry)
    return 0
