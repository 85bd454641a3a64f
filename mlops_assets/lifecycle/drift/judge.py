"""Drift: live traffic of a window against what the version was judged on."""

import math
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.columns import BrokenColumn, Column, Redraws, read_column
from mlops_assets.lifecycle.drift.report import ColumnDrift, DriftReport, DriftVerdict, Kind
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.spec import DriftPolicy, ModelSpec

GRAVEST_FIRST: tuple[DriftVerdict, ...] = ("broken", "drifted", "stable")

DRAWS = 400
REDRAWN_ROWS = 5_000
FEWEST_VALUES = 30
MISSING_EFFECT = 0.05
MISSING_BUDGET = 0.1


def drift(
    spec: "ModelSpec",
    reference: "pd.DataFrame",
    live: "pd.DataFrame",
    *,
    window: str,
    version: int,
) -> DriftReport:
    """Compare each column of the reference with the same column of live traffic.

    A column drifted when its distance (numbers: Wasserstein over the reference's standard
    deviation; categories: Jensen-Shannon, in nats) exceeds both ``min_effect`` and the noise that
    two samples of these sizes have without any drift; or when its share of missing values moved
    by more than 5 points and more than noise. Noise is ``mean + z * sd`` of the column's distance
    over pairs of bootstrap samples, with one ``z`` for all columns such that the largest of them
    exceeds it with probability ``false_alarms`` (the bootstrapped maximum of Westfall and Young,
    "Resampling-Based Multiple Testing" (1993), section 2.3; its quantile from a Gumbel
    distribution, the limit of maxima). Both samples of a pair are drawn from all rows, reference
    and live: drawn from the reference alone, a heavy tail raises four false alarms in a hundred
    windows for each column. A tenth of ``false_alarms`` is spent on missing values.

    Rows count as independent: what only varies between windows, such as a season that the
    reference has not seen, is drift.

    The verdict on the report is

    - ``insufficient_data`` with fewer than ``min_rows`` rows on a side, or no column with enough;
    - ``broken`` when any column is: missing, twice there, without a value, infinite, of another
      type, or of values that can't be compared. It speaks of the data, not of the world, so that
      ``drifted`` is false and nobody retrains on it, whatever the other columns say;
    - ``drifted`` when any column is; ``stable`` else.

    Parameters
    ----------
    spec : ModelSpec
    reference : DataFrame of shape (n_reference, n_columns)
        Features and watched answers, as :func:`~mlops_assets.lifecycle.training.reference` gives.
    live : DataFrame of shape (n_live, n_live_columns)
        Columns that the reference doesn't have are not looked at: the server refuses features
        that the version doesn't know, so that they are ids, times and labels.
    window : str
    version : int

    Returns
    -------
    DriftReport
        The same for the same data: the bootstrap's seed is the model's, version's and window's.

    Raises
    ------
    EvidenceError
        When a column that is to be ignored is not there: a wrong name would watch it after all.
    """
    policy = spec.monitoring.drift
    unknown = [name for name in policy.ignore if name not in reference.columns]
    if unknown:
        raise EvidenceError(f"{spec.name}: monitoring.drift.ignore: no feature {unknown[0]!r}")
    reference = reference.drop(columns=list(policy.ignore))
    seed = zlib.crc32(f"{spec.name}/{version}/{window}".encode())
    watched = set(spec.task_type.monitored([]).columns)
    columns = [
        c.model_copy(update={"role": "prediction"}) if c.column in watched else c
        for c in _compare(policy, reference, live, seed)
    ]
    verdict = _verdict(columns)
    return DriftReport(
        model=spec.name,
        window=window,
        version=version,
        rows=len(live),
        reference_rows=len(reference),
        columns=columns,
        share=sum(c.verdict == "drifted" for c in columns) / max(len(columns), 1),
        drifted=verdict == "drifted",
        prediction_drifted=any(c.role == "prediction" and c.verdict == "drifted" for c in columns),
        verdict=verdict,
        false_alarms=policy.false_alarms,
        html=None,
        created_at=datetime.now(UTC),
    )


def _verdict(columns: list[ColumnDrift]) -> DriftVerdict:
    verdicts = {c.verdict for c in columns}
    return next((v for v in GRAVEST_FIRST if v in verdicts), "insufficient_data")


def _compare(policy: "DriftPolicy", reference, live, seed: int) -> list[ColumnDrift]:
    for side, rows in (("live", live), ("reference", reference)):
        if len(rows) < policy.min_rows:
            reason = f"{len(rows)} {side} rows, and monitoring.drift.min_rows is {policy.min_rows}"
            return [
                _unjudged(name, _kind(reference, name), "insufficient_data", reason)
                for name in reference.columns
            ]
    judged: dict[str, ColumnDrift] = {}
    measured: dict[str, tuple[Column, float]] = {}
    for name in dict.fromkeys(reference.columns):
        try:
            column = read_sides(reference, live, name)
            early = _without_distance(column, str(name), policy, len(reference.columns))
            if early is None:
                measured[str(name)] = column, column.distance()
            else:
                judged[str(name)] = early
        except BrokenColumn as broken:
            judged[str(name)] = _unjudged(name, _kind(reference, name), "broken", str(broken))
    judged |= _judge(measured, policy, seed)
    return [judged[str(name)] for name in dict.fromkeys(reference.columns)]


def read_sides(reference: "pd.DataFrame", live: "pd.DataFrame", name) -> Column:
    """A column of both frames.

    Raises
    ------
    BrokenColumn
        When a side has no such column or two, or values that can't be compared.
    """
    for side, frame in (("reference", reference), ("live", live)):
        found = int((frame.columns == name).sum())
        if found != 1:
            raise BrokenColumn(f"{found or 'no'} columns of this name in the {side} rows")
    return read_column(reference[name], live[name])


def _without_distance(
    column: Column, name: str, policy: "DriftPolicy", columns: int
) -> ColumnDrift | None:
    """The verdict on a column that missing values decide."""
    from scipy.stats import norm

    before, now = column.missing
    sizes = len(column.reference), len(column.live)
    both = (before * sizes[0] + now * sizes[1]) / sum(sizes)
    error = math.sqrt(both * (1 - both) * (1 / sizes[0] + 1 / sizes[1]))
    # Two-sided, and shared among the columns (Bonferroni).
    z = norm.isf(policy.false_alarms * MISSING_BUDGET / columns / 2)
    limit = max(MISSING_EFFECT, z * error)
    if abs(now - before) > limit:
        words = f"missing values: {before:.1%} in the reference, {now:.1%} live"
        if now == 1:
            raise BrokenColumn(f"no value in the live rows; {words}")
        return ColumnDrift(
            column=name,
            kind=column.kind,
            statistic="missing_share",
            value=abs(now - before),
            threshold=limit,
            verdict="drifted",
            reason=words,
        )
    # The rows that are redrawn must have enough of them, too.
    known = min(column.known, int((1 - both) * REDRAWN_ROWS))
    if known < FEWEST_VALUES:
        reason = f"only {known} values that are not missing, and {FEWEST_VALUES} are needed"
        return _unjudged(name, column.kind, "insufficient_data", reason)
    return None


def _kind(reference: "pd.DataFrame", name) -> Kind:
    """What the dtype says of a column whose values say nothing."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    dtype = reference.dtypes.iloc[list(reference.columns).index(name)]
    return "numeric" if is_numeric_dtype(dtype) and not is_bool_dtype(dtype) else "categorical"


def _unjudged(name, kind: Kind, verdict: DriftVerdict, reason: str) -> ColumnDrift:
    return ColumnDrift(
        column=str(name),
        kind=kind,
        statistic="none",
        value=None,
        threshold=None,
        verdict=verdict,
        reason=reason,
    )


def _judge(
    measured: dict[str, tuple[Column, float]], policy: "DriftPolicy", seed: int
) -> dict[str, ColumnDrift]:
    if not measured:
        return {}
    limits = _noise_limits([c for c, _ in measured.values()], policy, seed)
    judged = {}
    for (name, (column, value)), noise in zip(measured.items(), limits, strict=True):
        threshold = max(policy.min_effect, float(noise))
        judged[name] = ColumnDrift(
            column=name,
            kind=column.kind,
            statistic=column.statistic,
            value=value,
            threshold=threshold,
            verdict="drifted" if value > threshold else "stable",
        )
    return judged


def _noise_limits(columns: list[Column], policy: "DriftPolicy", seed: int) -> "np.ndarray":
    """What no column's distance exceeds without drift, shape (n_columns,)."""
    import numpy as np

    draws = _redraws(len(columns[0].reference), len(columns[0].live), seed)
    noise = np.array([column.redraw(draws) for column in columns])
    mean, spread = noise.mean(axis=1), noise.std(axis=1, ddof=1)
    # A constant column has no noise, and must not divide by it.
    scores = (noise - mean[:, None]) / np.where(spread > 0, spread, 1)[:, None]
    return mean + spread * _gumbel_quantile(
        scores.max(axis=0), policy.false_alarms * (1 - MISSING_BUDGET)
    )


def _gumbel_quantile(maxima: "np.ndarray", probability: float) -> float:
    """What a Gumbel variable with these maxima's mean and variance exceeds with a probability."""
    import numpy as np

    reduced = -math.log(-math.log1p(-probability))
    scale = maxima.std(ddof=1) * math.sqrt(6) / math.pi
    return float(maxima.mean() + (reduced - np.euler_gamma) * scale)


def _redraws(reference_rows: int, live_rows: int, seed: int) -> Redraws:
    import numpy as np

    rng = np.random.default_rng(seed)
    pooled = reference_rows + live_rows
    size = min(pooled, REDRAWN_ROWS)
    rows = rng.choice(pooled, size, replace=False)
    even = np.full(size, 1 / size)
    drawn = [rng.multinomial(n, even, size=DRAWS) for n in (reference_rows, live_rows)]
    return Redraws(rows, *(np.ascontiguousarray(d.T, dtype=np.float32) for d in drawn))
