"""The drift report as Evidently draws it: to look at, never to decide by."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.methods import METHODS
from mlops_assets.lifecycle.drift.pairs import MOST_CATEGORIES
from mlops_assets.lifecycle.drift.reading import Column, read
from mlops_assets.lifecycle.drift.scan import collect, rows_of, spread
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from evidently.core.report import Snapshot

    from mlops_assets.lifecycle.drift.report import ColumnDrift, DriftReport

SHOWN_ROWS = 5_000
OTHER = "(other)"
# Evidently writes names into a script element as they are, where "</script>" would end it.
HARMLESS = str.maketrans("<>&", "\uff1c\uff1e\uff06")


def drawable(report: "DriftReport") -> bool:
    """Whether a report has a column to draw: one with a distance."""
    return any(c.statistic in METHODS for c in report.columns)


def drift_html(report: "DriftReport", reference: Any, live: Any, path: Path) -> None:
    """Write Evidently's page on the columns that have a distance.

    Values, thresholds and verdicts are the report's, which are of all rows; the pictures are of
    at most 5,000 rows a side. Columns that are broken, or that have too little to compare, are
    not on the page.

    Parameters
    ----------
    report : DriftReport
    reference, live : what `Profile.of` reads
        Rows to draw: the reference's stored sample, and the window.
    path : Path

    Raises
    ------
    EvidenceError
        When the report has no column to draw.
    """
    # Evidently drops a Path without a word.
    snapshot(report, reference, live).save_html(str(path))


def snapshot(report: "DriftReport", reference: Any, live: Any) -> "Snapshot":
    """Evidently's report on the verdicts of ours, one ``ValueDrift`` a column."""
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    if not drawable(report):
        raise EvidenceError(f"{report.model} {report.window}: no column has a distance to draw")
    compared = [c for c in report.columns if c.statistic in METHODS]
    numeric = {c.column for c in compared if c.kind in ("numeric", "datetime")}
    names = [c.column for c in compared]
    before, now = (_drawn(rows, names, numeric) for rows in (reference, live))
    # Of a column that is nearly empty, no value may be among the rows that are drawn.
    names = [name for name in names if before[name].notna().any() and now[name].notna().any()]
    judged = {harmless(c.column): c for c in compared if c.column in names}
    kept = {name: _most_frequent(before[name]) for name in names if name not in numeric}
    used = {c.statistic for c in judged.values()}
    methods = {statistic: _registered(report, statistic, judged) for statistic in used}
    metrics = [
        ValueDrift(column=name, method=methods[c.statistic], threshold=c.threshold)
        for name, c in judged.items()
    ]
    definition = DataDefinition(
        numerical_columns=[harmless(name) for name in names if name in numeric],
        categorical_columns=[harmless(name) for name in names if name not in numeric],
    )
    sides = [
        Dataset.from_pandas(_pooled(frame, kept), data_definition=definition)
        for frame in (now, before)
    ]
    return Report(metrics, include_tests=True).run(*sides)


def _registered(report: "DriftReport", statistic: str, judged: "dict[str, ColumnDrift]") -> str:
    """A method of Evidently's that answers what this report found; its name."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    name = f"{report.model}/{report.version}/{report.window}/{statistic}"
    test = StatTest(
        name=name,
        display_name=statistic.replace("_", " "),
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
    )
    register_stattest(test, _answering(judged))
    return name


def _answering(judged: "dict[str, ColumnDrift]") -> Callable[..., tuple[float, bool]]:
    def found(_reference, live, _kind, _threshold):
        column = judged[live.name]
        return column.value, column.verdict == "drifted"

    return found


def _drawn(source: Any, names: list[str], numeric: set[str]) -> "pd.DataFrame":
    """At most 5,000 rows of some columns, as numbers or as text."""
    rows = read(source, only=names)
    columns = [_values(rows.columns[name], name in numeric).alias(name) for name in names]
    frame = spread(rows.frame.select(columns), rows_of(rows), SHOWN_ROWS)
    return collect(frame).to_pandas()


def _values(column: Column, numeric: bool) -> "pl.Expr":
    return column.numbers if numeric else column.text


def _most_frequent(values: "pd.Series") -> set[str]:
    return set(values.value_counts().head(MOST_CATEGORIES).index)


def _pooled(frame: "pd.DataFrame", kept: dict[str, set[str]]) -> "pd.DataFrame":
    for name, known in kept.items():
        values = frame[name].astype(object)
        frame[name] = values.where(values.isin(known) | values.isna(), OTHER).map(
            harmless, na_action="ignore"
        )
    return frame.rename(columns=harmless)


def harmless(text: str) -> str:
    """Text that ends no script element."""
    return text.translate(HARMLESS)
