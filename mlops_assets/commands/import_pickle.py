"""``mlops-assets import-pickle``: a trained scikit-learn pickle becomes a verified version."""

import sys
from pathlib import Path

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.lifecycle.tasks import TASKS


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("import-pickle", help="convert, verify and serve a pickle")
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", required=True, help="name to serve it under")
    tabular = sorted(name for name, task in TASKS.items() if task.tabular)
    parser.add_argument("--task", required=True, choices=tabular)
    parser.add_argument("--features", help="comma-separated, where the model does not know them")
    parser.add_argument("--why", required=True, help="for the rollout journal")
    parser.add_argument("--yes", action="store_true", help="I trust this file; do not ask")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Ask, import and adopt."""
    from mlops_assets.lifecycle.pickles import WARNING, import_pickle
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout.journal import Journal

    if options.model in load_specs(options.defs):
        raise DeclarationError(
            f"{options.model} is declared in {options.defs}: its versions come from its lifecycle "
            "job and its gate; import under another name"
        )
    print(WARNING)
    if not options.yes and not _agreed():
        print("nothing was loaded", file=sys.stderr)
        return 1
    settings = Settings.from_environment()
    version = import_pickle(
        Registry(settings),
        Journal(settings.database_url),
        options.file,
        model=options.model,
        task=options.task,
        features=options.features.split(",") if options.features else None,
        who=options.who,
        why=options.why,
    )
    print(f"{version} is champion; `mlops-assets serve` answers at /predict/{version.model}")
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("Load it? [y/N] ").strip().lower() in ("y", "yes")
