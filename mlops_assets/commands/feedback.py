"""``mlops-assets feedback``: labels from a CSV file go into the feedback log."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.errors import DeclarationError, SourceError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import load_specs

BATCH = 1000


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("feedback", help="log labels for answers that were given")
    parser.add_argument("model")
    parser.add_argument(
        "file",
        type=Path,
        help="CSV with the columns value, and prediction_id or unit and at; observed_at if known. "
        "A ranking's value is a JSON list of item ids.",
    )
    parser.set_defaults(command=run)


def run(options) -> int:
    """Check every row, then log them."""
    from mlops_assets.lifecycle.ground_truth import FeedbackLog, label_from

    settings = Settings.from_environment()
    task = _task(options.model, options.defs, settings)
    now, labels = datetime.now(UTC), []
    for number, fields in _rows(options.file):
        try:
            labels.append(
                label_from(
                    options.model,
                    fields,
                    logged_at=now,
                    source=f"{options.who}, {options.file}",
                    task=task,
                )
            )
        except ValueError as error:
            raise SourceError(f"{options.file}, line {number}: {error}") from None
    log = FeedbackLog(settings.prediction_log)
    try:
        for start in range(0, len(labels), BATCH):
            log.append(labels[start : start + BATCH])
    except OSError as error:
        raise SourceError(
            f"not every label is logged ({error}); run it again: a label that comes twice counts "
            "once"
        ) from None
    finally:
        log.close()
    print(f"{options.model}: {len(labels)} labels logged")
    return 0


def _task(model: str, defs: Path, settings: Settings) -> str | None:
    specs = load_specs(defs)
    if model in specs:
        return specs[model][0].task
    # An imported model is not declared, but it has answered.
    if not (settings.prediction_log / model).is_dir():
        raise DeclarationError(
            f"no model {model!r}: none is declared and none has answered under that name; "
            f"declared: {', '.join(specs)}"
        )
    return None


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows in JSON's types, each with the number of its last line; an empty cell is null."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise SourceError(
                        f"{file}, line {reader.line_num}: not {len(reader.fieldnames or [])} "
                        "fields, as the header has"
                    )
                cells: dict[str, Any] = {name: text or None for name, text in row.items()}
                cells["value"] = _value(cells.get("value"))
                yield reader.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{file}: {error}") from None


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
