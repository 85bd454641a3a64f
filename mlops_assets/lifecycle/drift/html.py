"""The drift report as Evidently draws it: to look at, never to decide by."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.columns import CategoricalColumn, Column, NumericColumn
from mlops_assets.lifecycle.drift.judge import read_sides
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import pandas as pd
    from evidently.core.report import Snapshot

    from mlops_assets.lifecycle.drift.report import DriftReport

SHOWN_ROWS = 5_000
DRAWN = {CategoricalColumn.statistic, NumericColumn.statistic}
# Evidently writes names into a script element as they are, where "</script>" would end it.
HARMLESS = str.maketrans("<>&", "\uff1c\uff1e\uff06")


def drift_html(
    report: "DriftReport", reference: "pd.DataFrame", live: "pd.DataFrame", path: Path
) -> None:
    """Write Evidently's page on the columns that have a distance, at the report's thresholds.

    At most 5,000 rows a side are drawn; with more, a column at its threshold may look different
    there. Columns that are broken, or whose missing values decided, are not on the page.

    Parameters
    ----------
    report : DriftReport
    reference, live : DataFrame
        What the report was made from.
    path : Path

    Raises
    ------
    EvidenceError
        When the report has no column to draw.
    """
    # Evidently drops a Path without a word.
    snapshot(report, reference, live).save_html(str(path))


def snapshot(report: "DriftReport", reference: "pd.DataFrame", live: "pd.DataFrame") -> "Snapshot":
    """Evidently's own verdicts, one ``ValueDrift`` a column, at the report's thresholds."""
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    drawn = {
        c.column: (c.statistic, c.threshold)
        for c in report.columns
        if c.statistic in DRAWN and c.threshold is not None
    }
    if not drawn:
        raise EvidenceError(f"{report.model} {report.window}: no column has a distance to draw")
    names = {str(name): name for name in reference.columns}
    columns = {c: read_sides(reference, live, names[c]) for c in drawn}
    metrics = [
        ValueDrift(
            column=harmless(name),
            method=method,
            # Evidently calls a distance at the threshold drift.
            threshold=math.nextafter(threshold, math.inf),
        )
        for name, (method, threshold) in drawn.items()
    ]
    definition = DataDefinition(
        numerical_columns=_of_kind(columns, "numeric"),
        categorical_columns=_of_kind(columns, "categorical"),
    )
    sides = [
        Dataset.from_pandas(_frame(columns, side), data_definition=definition)
        for side in ("live", "reference")
    ]
    return Report(metrics, include_tests=True).run(*sides)


def _of_kind(columns: dict[str, Column], kind: str) -> list[str]:
    return [harmless(name) for name, column in columns.items() if column.kind == kind]


def _frame(columns: dict[str, Column], side: str) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame({harmless(name): getattr(c, side) for name, c in columns.items()})
    for name in _of_kind(columns, "categorical"):
        frame[name] = frame[name].map(harmless, na_action="ignore")
    return frame.sample(min(len(frame), SHOWN_ROWS), random_state=0)


def harmless(text: str) -> str:
    """Text that ends no script element."""
    return text.translate(HARMLESS)
