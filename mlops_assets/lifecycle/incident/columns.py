"""The columns that drifted, drawn: the reference against what is live."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.judge import GRAVEST_FIRST
from mlops_assets.lifecycle.incident.report import DriftedColumn, Histogram

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.reports import ColumnDrift, DriftReport

MOST_COLUMNS = 12
BINS = 24
CATEGORIES = 10
LONGEST = 60
LARGEST = 1e150
MISSING, OTHERS = "(missing)", "(others)"


def drifted_columns(
    report: "DriftReport", reference: "pd.DataFrame | None", live: "pd.DataFrame | None"
) -> tuple[list[DriftedColumn], int]:
    """Broken and drifted columns, gravest first, and how many are left out.

    Parameters
    ----------
    report : DriftReport
    reference, live : DataFrame or None
        What the report was made from; None where that can't be read any more.
    """
    found = [c for c in report.columns if c.verdict in ("broken", "drifted")]
    found.sort(key=_gravity)
    shown = [_column(c, reference, live) for c in found[:MOST_COLUMNS]]
    return shown, len(found) - len(shown)


def _gravity(column: "ColumnDrift") -> tuple:
    times = (column.value or 0) / column.threshold if column.threshold else 0
    # The answers are what users see: among columns of one verdict they come first.
    return GRAVEST_FIRST.index(column.verdict), column.role != "prediction", -times


def _column(
    column: "ColumnDrift", reference: "pd.DataFrame | None", live: "pd.DataFrame | None"
) -> DriftedColumn:
    drawn, why = None, "its rows can't be read any more"
    if reference is not None and live is not None:
        drawn, why = histogram(_named(reference, column.column), _named(live, column.column))
    return DriftedColumn(
        column=column.column,
        kind=column.kind,
        role=column.role,
        verdict=column.verdict,
        statistic=column.statistic,
        value=column.value,
        threshold=column.threshold,
        reason=column.reason,
        reference_missing=column.reference.missing if column.reference else None,
        live_missing=column.live.missing if column.live else None,
        histogram=drawn,
        undrawn=why,
    )


def _named(frame: "pd.DataFrame", name: str) -> "pd.Series | None":
    places = [place for place, each in enumerate(frame.columns) if str(each) == name]
    return frame.iloc[:, places[0]] if len(places) == 1 else None


def histogram(
    reference: "pd.Series | None", live: "pd.Series | None"
) -> tuple[Histogram | None, str]:
    """Both sides of a column in the same bins, or why there is nothing to draw."""
    import numpy as np

    for side, values in (("reference", reference), ("live", live)):
        if values is None:
            return None, f"the {side} rows have no such column, or two"
        if values.notna().sum() == 0:
            return None, f"the {side} rows have no value in it"
    assert reference is not None
    assert live is not None
    if numeric(reference) and numeric(live):
        sides = [numbers_of(side) for side in (reference, live)]
        return _of_numbers(*(side[np.isfinite(side)] for side in sides))
    return _of_categories(reference, live), ""


def numeric(values: "pd.Series") -> bool:
    """Whether values are numbers, which booleans are not."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype)


def numbers_of(values: "pd.Series") -> "np.ndarray":
    """Numbers of every dtype as floats, NaN where missing."""
    import numpy as np

    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _of_numbers(reference, live) -> tuple[Histogram | None, str]:
    import numpy as np

    if not len(reference) or not len(live):
        return None, "it has no finite numbers"
    if max(np.abs(side).max() for side in (reference, live)) > LARGEST:
        return None, f"it holds numbers beyond {LARGEST:g}"
    # A few far values would leave all others one bin.
    ends = [np.quantile(side, (0.005, 0.995)) for side in (reference, live)]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    if not (np.diff(edges) > 0).all():
        return None, "its numbers are too near to each other to draw"
    shares = [
        np.histogram(np.clip(side, low, high), edges)[0] / len(side) for side in (reference, live)
    ]
    drawn = Histogram(edges=edges.tolist(), reference=shares[0].tolist(), live=shares[1].tolist())
    return drawn, ""


def _of_categories(reference: "pd.Series", live: "pd.Series") -> Histogram:
    shares = [_texts(side).value_counts(normalize=True) for side in (reference, live)]
    largest = shares[0].combine(shares[1], max, fill_value=0.0).sort_values(ascending=False)
    kept = [str(name) for name in largest.index[:CATEGORIES]]
    values = [[float(side.get(name, 0.0)) for name in kept] for side in shares]
    others = len(largest) - len(kept)
    if others:
        kept.append(OTHERS)
        values = [[*side, max(0.0, 1 - sum(side))] for side in values]
    return Histogram(
        labels=[name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in kept],
        reference=values[0],
        live=values[1],
        left_out=others,
    )


def _texts(values: "pd.Series") -> "pd.Series":
    # Of every type, unhashable ones too.
    return values.astype(object).map(str, na_action="ignore").fillna(MISSING).astype(str)
