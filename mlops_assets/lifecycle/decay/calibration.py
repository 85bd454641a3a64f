"""Whether the level of the answers is right, and whether they spread as the labels do."""

import math
import warnings
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.decay.report import Calibration
from mlops_assets.lifecycle.gate.base import Interval, numbered, too_few
from mlops_assets.lifecycle.gate.paired_t import PairedT
from mlops_assets.lifecycle.tasks.base import places

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.tasks import Answered

MOST_ROWS = 200_000
SMALLEST = 1e-9


def calibration(
    spec: "ModelSpec", live: "Answered", hold_out: "Answered | None" = None
) -> tuple[Calibration | None, str]:
    """Observed over expected, and the slope of labels on answers, with intervals over units.

    - ratio: mean label over mean answer, weighted; its error is that of the mean of label less
      answer, the answers being given. With several classes it is that of the most probable one:
      how often it was right over how sure the answer was.
    - slope: 1 where answers spread as they should, below 1 where they are too extreme. Classes:
      logistic recalibration (Cox, "Two further applications of a model for binary regression",
      Biometrika 45, 1958). Counts: Poisson regression on the logarithm of the answer. Regression:
      least squares (Mincer and Zarnowitz, "The evaluation of economic forecasts", 1969). Errors
      are by unit (Liang and Zeger, Biometrika 73, 1986).

    Ratio and slope share ``monitoring.decay.false_alarms``: each interval is at half of it, so that
    answers which are right are ``off`` in no more of the reports. What the version was on its
    hold-out already is its training's, not the world's: ``moved`` and ``slope_moved`` tell.

    Returns
    -------
    calibration : Calibration or None
    words : str
        Why there is none.
    """
    if not spec.task_type.tabular:
        return None, f"task {spec.task}: a list of items has no level"
    level = spec.decay_false_alarms / 2
    truth, said = _said(spec, live)
    found = _ratio(truth, said, live, level)
    if found is None:
        expected = _mean(said, live)
        return None, (
            f"no interval for observed over expected: {len(truth)} labels of "
            f"{len(set(live.clusters))} units, mean answer {expected:.3g}"
        )
    slope = _slope(spec, truth, said, live, level)
    promised, promised_slope = _promised(spec, hold_out, level)
    return Calibration(
        rows=len(truth),
        expected=_mean(said, live),
        observed=_mean(truth, live),
        ratio=found.estimate,
        low=found.low,
        high=found.high,
        off=_beside_one(found) or _beside_one(slope),
        slope=slope and slope.estimate,
        slope_low=slope and slope.low,
        slope_high=slope and slope.high,
        hold_out_ratio=promised and promised.estimate,
        moved=_moved(found, promised, level),
        hold_out_slope=promised_slope and promised_slope.estimate,
        slope_moved=_moved(slope, promised_slope, level),
    ), ""


def _beside_one(found: Interval | None) -> bool:
    return found is not None and not found.low <= 1 <= found.high


def _said(spec: "ModelSpec", rows: "Answered") -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    said = spec.task_type.predicted(rows.answers)
    if said.ndim == 1:
        return rows.truth.astype(float), said.astype(float)
    best = said.argmax(axis=1)
    return (best == rows.truth).astype(float), said[np.arange(len(said)), best]


def _mean(values: "np.ndarray", rows: "Answered") -> float:
    import numpy as np

    return float(np.average(values, weights=rows.weights))


def _ratio(truth, said, rows: "Answered", level: float) -> Interval | None:
    """Observed over expected, with a two-sided interval at level ``1 - level``."""
    expected = _mean(said, rows)
    if not math.isfinite(expected) or abs(expected) < SMALLEST:
        return None
    off = PairedT().mean(truth - said, rows.weights, rows.clusters, level / 2)
    if not (math.isfinite(off.low) and math.isfinite(off.high)):
        return None
    ends = sorted((1 + off.low / expected, 1 + off.high / expected))
    return Interval(
        estimate=1 + off.estimate / expected,
        low=ends[0],
        high=ends[1],
        spread=off.spread / abs(expected),
        units=off.units,
        p_value=off.p_value,
    )


def _promised(
    spec, hold_out: "Answered | None", level: float
) -> tuple[Interval | None, Interval | None]:
    """Ratio and slope on the hold-out."""
    if hold_out is None or spec.task_type.check_truth(hold_out.truth):
        return None, None
    truth, said = _said(spec, hold_out)
    return _ratio(truth, said, hold_out, level), _slope(spec, truth, said, hold_out, level)


def _moved(live: Interval | None, promised: Interval | None, level: float) -> bool | None:
    """Whether two independent estimates differ, by Welch's test; None where one is not known."""
    from scipy import stats

    if live is None or promised is None:
        return None
    errors = [side.spread**2 / side.units for side in (live, promised)]
    distance = abs(live.estimate - promised.estimate)
    if sum(errors) == 0:
        return distance > 0
    freedom = sum(errors) ** 2 / sum(
        e**2 / (side.units - 1) for e, side in zip(errors, (live, promised), strict=True)
    )
    return bool(2 * stats.t.sf(distance / math.sqrt(sum(errors)), freedom) < level)


def _slope(spec, truth, said, rows: "Answered", level: float) -> Interval | None:
    """Slope with its interval; None where the answers do not vary or there is no fit."""
    import numpy as np
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning, SpecificationWarning

    drawn = places(len(truth), MOST_ROWS)
    truth, said, weights = truth[drawn], said[drawn], rows.weights[drawn]
    cluster, count = numbered(rows.clusters[drawn])
    if too_few(count, level / 2):
        return None
    family, asked = sm.families.Gaussian(), said
    if spec.task.endswith("classification"):
        clipped = np.clip(said, SMALLEST, 1 - SMALLEST)
        family, asked = sm.families.Binomial(), np.log(clipped / (1 - clipped))
    elif spec.task == "count_regression":
        if not (said > 0).all():
            return None
        family, asked = sm.families.Poisson(), np.log(said)
    if np.ptp(asked) < SMALLEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        # Of weights with errors by unit; a test holds it against the sandwich written out.
        warnings.simplefilter("ignore", SpecificationWarning)
        try:
            model = sm.GLM(truth, sm.add_constant(asked), family=family, var_weights=weights)
            fit = model.fit(cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True)
        except (PerfectSeparationWarning, np.linalg.LinAlgError, ValueError):
            # Labels that the answers separate have no finite slope, nor have answers so far apart
            # that a step of the fit overflows: statsmodels raises ValueError then.
            return None
    low, high = (float(end) for end in fit.conf_int(level)[1])
    slope, error = float(fit.params[1]), float(fit.bse[1])
    if not all(math.isfinite(x) for x in (slope, low, high, error)):
        return None
    p_value = float(fit.pvalues[1])
    return Interval(slope, low, high, error * math.sqrt(count), count, p_value)
