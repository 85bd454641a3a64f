"""How complete labels are by the age of their prediction, and whether as many came as should."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.decay.labelled import Window
from mlops_assets.lifecycle.decay.report import LabelMaturity

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.decay.report import PerformanceReport
    from mlops_assets.lifecycle.spec import ModelSpec

LEAST_LABELS = 50
LEAST_SHARE = 0.5  # of the labels to be expected: with fewer, a feed is broken, or half of one
COMPLETE = 0.9  # of the labels that ever come, at columns.label_delay
POINTS = 25
SECONDS_A_DAY = 86_400
UNTOLD = "labels come from a batch source or the feature frame, which do not tell when they came"


def maturity(
    asked: "pd.Series",
    arrived: "pd.Series",
    labelled: "np.ndarray",
    of: "pd.Series",
    now: datetime,
) -> tuple[LabelMaturity | None, str]:
    """The label maturity curve of earlier predictions, and what it says of a window.

    The age at which a label comes is right-censored: a prediction without one may get it later.
    The curve is one minus Kaplan and Meier's estimate ("Nonparametric estimation from incomplete
    observations", JASA 53, 1958) over its value at the greatest age seen, so that predictions that
    never get a label do not count.

    Parameters
    ----------
    asked : Series of datetime (UTC), shape (n_predictions,)
        When each prediction of earlier windows was asked.
    arrived : Series of datetime (UTC), shape (n_predictions,)
        When its first label came, NaT where none has or that is not told.
    labelled : ndarray of bool, shape (n_predictions,)
        Whether it has a label, from whatever source.
    of : Series of datetime (UTC)
        When the predictions of the window were asked.
    now : datetime
        Aware.

    Returns
    -------
    maturity : LabelMaturity or None
    words : str
        Why there is none.
    """
    import numpy as np
    from scipy import stats

    came = (arrived.notna() & (arrived <= now)).to_numpy()
    untold = int((labelled & ~came).sum())
    if untold > 0.05 * max(int(labelled.sum()), 1):
        return None, UNTOLD
    if came.sum() < LEAST_LABELS:
        return None, f"{came.sum()} labels came for earlier windows; {LEAST_LABELS} make a curve"
    ages = _days((arrived.where(came, now) - asked).to_numpy())
    curve = stats.ecdf(stats.CensoredData.right_censored(ages, ~came)).cdf
    oldest = float(ages.max())
    ever = float(curve.evaluate(oldest))

    def complete(age: "np.ndarray") -> "np.ndarray":
        return curve.evaluate(np.minimum(age, oldest)) / ever

    last = float(np.quantile(ages[came], 0.999))
    days = np.linspace(0, max(last, 1 / 24), POINTS)
    window = float(complete(_days((now - of).to_numpy())).mean()) if len(of) else None
    made = LabelMaturity(
        days=[float(f"{day:.4g}") for day in days],
        complete=[float(f"{share:.4g}") for share in complete(days)],
        of_window=window,
        words=(
            f"{came.sum()} labels of {len(asked)} earlier predictions up to {oldest:.3g} days old: "
            f"{ever:.1%} of predictions get one"
        ),
        ever=ever,
        oldest=oldest,
    )
    return made, ""


def _days(ages: "np.ndarray") -> "np.ndarray":
    import numpy as np

    seconds = ages / np.timedelta64(1, "s")
    return np.maximum(seconds, 0.0) / SECONDS_A_DAY  # a client's clock may be ahead


def shown(curve: LabelMaturity, age: timedelta) -> float | None:
    """How complete labels are at an age; None beyond what was seen."""
    import numpy as np

    days = age.total_seconds() / SECONDS_A_DAY
    if curve.oldest is None or days > curve.oldest:
        return None
    return float(np.interp(days, curve.days, curve.complete))


def feed_problem(
    spec: "ModelSpec",
    window: Window,
    curve: LabelMaturity | None,
    earlier: "Sequence[PerformanceReport]",
) -> str | None:
    """Why the labels of a window are not those it should have, or None.

    Labels that are there while most are missing are not like the missing ones. As many are
    expected as ``monitoring.decay.coverage`` says, else as the windows that were judged before
    had, else one for each answer.
    """
    if window.due == 0:
        return None
    expected, words = _expected(spec, earlier)
    if window.known < LEAST_SHARE * expected * window.due:
        return (
            f"{window.known} of {window.due} answers whose labels are due have one, where "
            f"{expected:.0%} are to be expected ({words}): is the label feed broken?"
        )
    delay = spec.columns.label_delay
    at_delay = shown(curve, delay) if curve else None
    if at_delay is not None and at_delay < COMPLETE:
        return (
            f"columns.label_delay is too short: of the labels that come, {at_delay:.0%} are there "
            f"{delay.total_seconds() / SECONDS_A_DAY:.3g} days after the prediction"
        )
    return None


def _expected(spec: "ModelSpec", earlier: "Sequence[PerformanceReport]") -> tuple[float, str]:
    decay = spec.monitoring.decay
    if decay is not None and decay.coverage is not None:
        return decay.coverage, "monitoring.decay.coverage"
    judged = [r for r in earlier if r.due and r.verdict != "insufficient_data"]
    due = sum(r.due or 0 for r in judged)
    if due:
        share = sum(r.known or 0 for r in judged) / due
        return share, f"as in {len(judged)} windows before"
    return 1.0, "no window was judged before; monitoring.decay.coverage declares another share"
