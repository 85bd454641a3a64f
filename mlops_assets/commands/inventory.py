"""``mlops-assets inventory``: all models, in production, on their way, retired, or changed."""

import csv
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import load_specs

if TYPE_CHECKING:
    from mlops_assets.lifecycle.inventory import Inventory, InventoryModel

# A spreadsheet would run what begins with these.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
SHOWN = ("model", "serves", "on whose word", "last judged", "changes")


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("inventory", help="all models, and what changed in a period")
    parser.add_argument("--since", type=date.fromisoformat, help="first day of a period (UTC)")
    parser.add_argument("--until", type=date.fromisoformat, help="its last day")
    parser.add_argument(
        "--changed", action="store_true", help="only models that changed in the period"
    )
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Print the inventory."""
    found = inventory(options.defs, options.since, options.until)
    if options.changed:
        found = found.changed()
    match options.format:
        case "json":
            print(found.model_dump_json(indent=1))
        case "csv":
            _print_csv(found)
        case _:
            _print_table(found)
    return 0


def inventory(defs: Path, since: date | None, until: date | None) -> "Inventory":
    """The inventory of the platform that the environment names."""
    from mlops_assets.lifecycle.inventory import take_inventory
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.resources import ReportIOManager

    settings = Settings.from_environment()
    return take_inventory(
        Registry(settings),
        Journal(settings.database_url),
        {name: spec for name, (spec, _) in load_specs(defs).items()},
        ReportIOManager(base_url=settings.storage_url).newest,
        since,
        until,
    )


def _print_csv(found: "Inventory") -> None:
    from mlops_assets.lifecycle.inventory import InventoryModel

    columns = [name for name in InventoryModel.model_fields if name != "changes"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*columns, "changes"])
    for model in found.models:
        values = model.model_dump(mode="json")
        row = [values[name] for name in columns]
        writer.writerow([_cell(value) for value in (*row, _changes(model))])


def _cell(value: object) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    if value is None:
        text = ""
    return f"'{text}" if text.startswith(FORMULAS) else text


def _changes(model: "InventoryModel") -> str:
    return "; ".join(
        f"{c.at:%Y-%m-%d} {c.action} v{c.version} by {c.who}: {c.why}" for c in model.changes
    )


def _print_table(found: "Inventory") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    period = f", changes from {found.since or 'the beginning'} to {found.until or 'now'}"
    table = Table(title=f"{len(found.models)} models{period}", show_lines=True)
    for column in SHOWN:
        table.add_column(column, overflow="fold")
    for model in found.models:
        # As text: rich would read square brackets in a person's words as markup.
        table.add_row(*(Text(cell) for cell in _row(model)))
    Console().print(table)


def _row(model: "InventoryModel") -> list[str]:
    status = model.status.replace("_", " ")
    since = f"since {model.since:%Y-%m-%d %H:%M}" if model.since else ""
    changes = [f"{c.at:%Y-%m-%d} {c.action} v{c.version}" for c in model.changes]
    drift = f"traffic {model.drift} ({model.drift_window})" if model.drift else ""
    return [
        _lines(model.model, model.task or "not declared", ", ".join(model.owners)),
        _lines(
            status if model.version is None else f"{status}, v{model.version}", since, model.rollout
        ),
        f"{model.who} ({model.why})" if model.who else "",
        _lines(model.evaluation, drift),
        "\n".join(changes),
    ]


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))
