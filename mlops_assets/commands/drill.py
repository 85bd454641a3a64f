"""``mlops-assets drill``: faults on purpose, on a copy, and whether each defence held."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.commands.declared import declared
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings

if TYPE_CHECKING:
    from mlops_assets.rehearsal.drill.report import DrillReport


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("drill", help="put faults into a copy and see what notices them")
    parser.add_argument("model")
    parser.add_argument(
        "--scenario", action="append", default=[], metavar="NAME", help="only this; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument(
        "--home", type=Path, help="folder of the copies; default: drills/<id> in MLOPS_HOME"
    )
    parser.set_defaults(command=run)


def run(options) -> int:
    """Play, print a table; 1 when a defence failed."""
    from mlops_assets.rehearsal.drill.drill import drill
    from mlops_assets.resources import FrameIOManager

    spec, folder = declared(options.defs, options.model)
    settings = Settings.from_environment()
    named = f"{spec.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    home = options.home or settings.home / "drills" / named
    production = FrameIOManager(base_url=settings.storage_url)
    report = drill(spec, folder, home.absolute(), options.scenario, production, _tell)
    _print(report)
    if options.json:
        try:
            options.json.write_text(report.model_dump_json(indent=1), "utf-8")
        except OSError as error:
            raise DeclarationError(f"--json {options.json}: {error.strerror}") from None
    return 0 if report.passed else 1


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(report: "DrillReport") -> None:
    from rich.console import Console
    from rich.table import Table

    from mlops_assets.rehearsal.drill.report import detected_after

    console = Console()
    for o in report.outcomes:
        console.print(f"{o.scenario}: {o.expected}", highlight=False, markup=False)
        after = f"detected after: {detected_after(o, clock=True)}"
        for line in [*(f"WRONG: {w}" for w in o.wrong), after, *o.happened]:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    table = Table(title=f"{report.model}, faults in window {report.window}", show_lines=True)
    for name in ("scenario", "injected", "detected after", "rollback", "defence"):
        table.add_column(name, overflow="fold")
    for o in report.outcomes:
        held = "passed" if o.passed else "FAILED"
        table.add_row(o.scenario, o.injected, detected_after(o), o.rollback, held)
    console.print(table)
    console.print(f"page: {report.html}", soft_wrap=True, highlight=False)
