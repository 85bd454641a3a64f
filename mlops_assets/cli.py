"""``mlops-assets``: serve, make keys, look, roll back, fill history, bring in a pickle."""

import argparse
import getpass
import os
import sys
from pathlib import Path

from mlops_assets.commands import (
    alerts,
    approve,
    backfill,
    backtest,
    card,
    compact,
    conclude,
    drill,
    explain,
    feedback,
    import_pickle,
    incident,
    inventory,
    key,
    reproduce,
    retire,
    serve,
    signing_key,
    status,
    undo,
)
from mlops_assets.lifecycle.errors import LifecycleError

DEFS = Path(__file__).parent / "defs"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when it was done, 1 with a sentence on standard error when not."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except LifecycleError as error:
        print(f"mlops-assets: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlops-assets", description=__doc__)
    parser.set_defaults(who=f"{getpass.getuser()} (command line)")
    parser.add_argument(
        "--defs",
        type=Path,
        default=Path(os.environ.get("MLOPS_DEFS", DEFS)),
        help="folder of the declarations (MLOPS_DEFS)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (
        serve,
        key,
        status,
        alerts,
        undo,
        approve,
        retire,
        explain,
        reproduce,
        conclude,
        backfill,
        backtest,
        drill,
        card,
        feedback,
        compact,
        import_pickle,
        incident,
        inventory,
        signing_key,
    ):
        module.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
