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

    Returns
    -------
    calibration : Calibration or None
    words : str
        Why there is none.
    """
    if not spec.task_type.tabular:
        return None, f"task {spec.task}: a list of items has no level"
    truth, said = _said(spec, live)
    found = _ratio(truth, said, live, spec.gate.alpha)
    if found is None:
        expected = _mean(said, live)
        return None, (
            f"no interval for observed over expected: {len(truth)} labels of "
            f"{len(set(live.clusters))} units, mean answer {expected:.3g}"
        )
    low, high = found.low, found.high
    slope = _slope(spec, truth, said, live)
    off = not low <= 1 <= high or (slope is not None and not slope[1] <= 1 <= slope[2])
    names = ("slope", "slope_low", "slope_high")
    promised = _promised(spec, hold_out)
    made = Calibration(
        rows=len(truth),
        expected=_mean(said, live),
        observed=_mean(truth, live),
        ratio=found.estimate,
        low=low,
        high=high,
        off=off,
        **dict(zip(names, slope or (None,) * 3, strict=True)),
        hold_out_ratio=promised and promised.estimate,
        moved=None if promised is None else _moved(found, promised, spec.gate.alpha),
    )
    return made, ""


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


def _ratio(truth, said, rows: "Answered", alpha: float) -> Interval | None:
    """Observed over expected, with a two-sided interval at level ``1 - alpha``."""
    expected = _mean(said, rows)
    if not math.isfinite(expected) or abs(expected) < SMALLEST:
        return None
    off = PairedT().mean(truth - said, rows.weights, rows.clusters, alpha / 2)
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


def _promised(spec, hold_out: "Answered | None") -> Interval | None:
    if hold_out is None or spec.task_type.check_truth(hold_out.truth):
        return None
    return _ratio(*_said(spec, hold_out), hold_out, spec.gate.alpha)


def _moved(live: Interval, promised: Interval, alpha: float) -> bool:
    """Whether two independent ratios differ, by Welch's test at level alpha."""
    from scipy import stats

    errors = [side.spread**2 / side.units for side in (live, promised)]
    distance = abs(live.estimate - promised.estimate)
    if sum(errors) == 0:
        return distance > 0
    freedom = sum(errors) ** 2 / sum(
        e**2 / (side.units - 1) for e, side in zip(errors, (live, promised), strict=True)
    )
    return bool(2 * stats.t.sf(distance / math.sqrt(sum(errors)), freedom) < alpha)


def _slope(spec, truth, said, rows: "Answered") -> tuple[float, float, float] | None:
    """Slope with its interval; None where the answers do not vary or there is no fit."""
    import numpy as np
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning, SpecificationWarning

    drawn = places(len(truth), MOST_ROWS)
    truth, said, weights = truth[drawn], said[drawn], rows.weights[drawn]
    cluster, count = numbered(rows.clusters[drawn])
    if too_few(count, spec.gate.alpha / 2):
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
    low, high = fit.conf_int(spec.gate.alpha)[1]
    found = (float(fit.params[1]), float(low), float(high))
    return found if np.isfinite(found).all() else None
