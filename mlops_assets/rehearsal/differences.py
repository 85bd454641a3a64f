"""Policies against each other, window by window on the same rows."""

import math

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate import Paired, default_test
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.rehearsal.answers import Answers
from mlops_assets.rehearsal.report import Difference, PolicyOutcome

LEAST_WINDOWS = 3
ROWS_ONLY = (
    "The interval is of the chance of the rows in these windows; it says nothing about other "
    "windows, and the history is one: what comes next may change otherwise."
)


def metric_difference(
    spec: ModelSpec, ours: str, theirs: str, answers: dict[str, dict[str, Answers]]
) -> Difference:
    """The realised metric of a policy against another's; positive is better.

    Within a window both are held against each other on the same rows, by the metric's own paired
    test (over units); windows are independent samples, so that the error of their mean is the
    root of the sum of squares over their number.

    Parameters
    ----------
    answers : dict of str to dict of str to Answers
        By policy and window.
    """
    from scipy import stats

    name, alpha = spec.decay_metric, spec.gate.alpha
    gains: dict[str, float] = {}
    variance, known = 0.0, True
    for window, mine in answers[ours].items():
        other = answers[theirs][window]
        if mine.problem or other.problem:
            continue
        if (mine.truth != other.truth).any():
            raise EvidenceError(f"window {window}: {ours} and {theirs} have other labels")
        if (mine.predicted == other.predicted).all():
            # Not by the versions' numbers: each policy's registry counts from its own first.
            gains[window] = 0.0
            continue
        paired = Paired(mine.truth, mine.predicted, other.predicted, mine.units, mine.weights)
        found = default_test(METRICS[name]).gain(METRICS[name], paired, alpha / 2)
        gains[window] = found.estimate
        known = known and math.isfinite(found.spread)
        variance += found.spread**2 / found.units
    low = high = None
    if gains and known:
        mean = sum(gains.values()) / len(gains)
        reach = float(stats.norm.ppf(1 - alpha / 2)) * math.sqrt(variance) / len(gains)
        low, high = mean - reach, mean + reach
    return _difference(name, ours, theirs, gains, alpha, low, high, ROWS_ONLY)


def kpi_differences(
    spec: ModelSpec, ours: PolicyOutcome, theirs: PolicyOutcome
) -> list[Difference]:
    """The declared KPIs of a policy against another's, as they are: more is not always better."""
    found = []
    for kpi in spec.gate.kpis:
        pairs = {
            mine.window: mine.kpis[kpi.name] - other.kpis[kpi.name]
            for mine, other in zip(ours.windows, theirs.windows, strict=True)
            if kpi.name in mine.kpis and kpi.name in other.kpis
        }
        words = "Differences of the figure itself, over windows alone."
        found.append(
            _difference(
                kpi.name, ours.policy, theirs.policy, pairs, spec.gate.alpha, None, None, words
            )
        )
    return found


def _difference(
    figure: str,
    ours: str,
    theirs: str,
    gains: dict[str, float],
    alpha: float,
    low: float | None,
    high: float | None,
    words: str,
) -> Difference:
    values = list(gains.values())
    mean = sum(values) / len(values) if values else None
    windows_low, windows_high = _over_windows(values, alpha)
    return Difference(
        figure=figure,
        ours=ours,
        theirs=theirs,
        by_window=gains,
        mean=mean,
        low=low,
        high=high,
        windows_low=windows_low,
        windows_high=windows_high,
        better=sum(v > 0 for v in values),
        same=sum(v == 0 for v in values),
        worse=sum(v < 0 for v in values),
        words=words,
    )


def _over_windows(values: list[float], alpha: float) -> tuple[float | None, float | None]:
    """Student's interval of the mean, each window one observation."""
    import numpy as np
    from scipy import stats

    if len(values) < LEAST_WINDOWS or len(set(values)) == 1:
        return None, None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(stats.t.ppf(1 - alpha / 2, len(values) - 1)) * error
    mean = float(np.mean(values))
    return mean - reach, mean + reach
