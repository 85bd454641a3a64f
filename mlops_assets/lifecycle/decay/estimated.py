"""The metric of a classifier estimated without labels, from its own probabilities."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.decay.reliability import reliability
from mlops_assets.lifecycle.decay.report import Assumption, EstimatedPerformance
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.tasks.base import Answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mlops_assets.lifecycle.decay.report import PerformanceReport
    from mlops_assets.lifecycle.spec import ModelSpec

METHOD = "confidence_based"
ON_HOLD_OUT = "probabilities are calibrated on the hold-out"
ON_LABELS = "probabilities are calibrated on the newest labels"
IN_RANGE = "answers are in the range of the hold-out's"
LEVEL = 0.01  # of the tests of the assumptions
OUTSIDE = 0.01
MOST_ROWS = 50_000  # that a window is estimated on
DRAWS = 400
FOLDS = 5
CELLS_AT_ONCE = 4_000_000


def estimated(
    spec: "ModelSpec",
    answers: list[dict],
    weights: "np.ndarray",
    labelled: Answered,
    hold_out: Answered | None,
    *,
    window: str,
    earlier: "Sequence[PerformanceReport]" = (),
) -> tuple[EstimatedPerformance | None, str]:
    """The decay metric that the answers of a window promise, with what that rests on.

    If probabilities mean what they say, each answer has an expected share of each label, and the
    metric of rows so weighted is the expected one ("confidence-based performance estimation";
    Kivimaki, Bialek, Nurminen and Kuberski, "Confidence-based estimators for predictive performance
    in model monitoring", JAIR 82, 2025; for the mean it is exact, for ratios as F1 and areas it is
    that of the expected confusion matrices). The interval is where the realised metric of these
    rows will lie with probability ``1 - gate.alpha``: labels are drawn from the probabilities,
    independently.

    It follows a shift of the inputs, and is blind to a change of what they mean.

    Parameters
    ----------
    answers : list of dict, of length n_rows
        The window's, labelled or not.
    weights : ndarray of shape (n_rows,)
    labelled : Answered
        Those with a complete label.
    hold_out : Answered or None
    window : str
    earlier : sequence of PerformanceReport
        Of the version, oldest first: where this window has too few labels, the newest that had
        enough tells whether probabilities held.

    Returns
    -------
    estimate : EstimatedPerformance or None
    words : str
        Why there is none.
    """
    import numpy as np

    if not spec.task.endswith("classification"):
        return None, f"task {spec.task}: an answer does not say how uncertain it is"
    if not answers:
        return None, "nothing was answered"
    said = spec.task_type.predicted(answers)
    if hold_out is None:
        return None, "no answers on the hold-out are recorded"
    if said.dtype.kind != "f" or not np.isfinite(said).all():
        return None, "an answer is NaN or infinite"
    meaning, on_hold_out = _meaning(spec, hold_out)
    probability = meaning(said)
    found = _expected(spec, said, probability, weights)
    if not np.isfinite([found.value, found.low, found.high]).all():
        return None, f"no finite {found.metric} is to be expected"
    assumptions = [
        on_hold_out,
        _on_labels(spec, labelled, meaning, window, earlier),
        _in_range(said, spec.task_type.predicted(hold_out.answers)),
    ]
    trusted = all(assumption.holds is True for assumption in assumptions)
    made = EstimatedPerformance(
        method=METHOD, estimate=found, rows=len(said), assumptions=assumptions, trusted=trusted
    )
    return made, ""


@dataclass(frozen=True)
class Meaning:
    """Probabilities behind scores: as they are, or by a curve over the score of class 1."""

    curve: "tuple[np.ndarray, np.ndarray] | None" = None

    def __call__(self, said: "np.ndarray") -> "np.ndarray":
        import numpy as np

        return said if self.curve is None else np.interp(said, *self.curve)


def _meaning(spec: "ModelSpec", hold_out: Answered) -> tuple[Meaning, Assumption]:
    """Scores as they are where they pass the test, else what the hold-out says they mean."""
    said = spec.task_type.predicted(hold_out.answers)
    raw = _tested(hold_out, said, ON_HOLD_OUT)
    if raw.holds is not False or said.ndim > 1:
        return Meaning(), raw
    folds = _folds(hold_out)
    fitted = said * 0.0
    for fold in range(FOLDS):
        own = folds == fold
        fitted[own] = _isotonic(said[~own], hold_out.truth[~own], hold_out.weights[~own])(said[own])
    again = _tested(hold_out, fitted, ON_HOLD_OUT)
    words = f"as they are: {raw.words}; by an isotonic curve, in {FOLDS} folds: {again.words}"
    meaning = _isotonic(said, hold_out.truth, hold_out.weights)
    return meaning, again.model_copy(update={"words": words})


def _isotonic(said, truth, weights) -> Meaning:
    """Zadrozny and Elkan, "Transforming classifier scores into ... probabilities", KDD 2002."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(said, truth, weights)
    return Meaning((fitted.X_thresholds_, fitted.y_thresholds_))


def _folds(rows: Answered) -> "np.ndarray":
    import numpy as np

    from mlops_assets.lifecycle.gate.base import numbered

    cluster, count = numbered(rows.clusters)
    return np.random.default_rng(0).permutation(np.arange(count) % FOLDS)[cluster]


def _tested(rows: Answered, probability: "np.ndarray", name: str) -> Assumption:
    import numpy as np

    truth = rows.truth
    if probability.ndim > 1:
        best = probability.argmax(axis=1)
        truth, probability = best == truth, probability[np.arange(len(best)), best]
    found = reliability(truth, probability, rows.clusters, rows.weights)
    if found is None:
        return Assumption(name=name, holds=None, words=f"{len(truth)} labels are too few to tell")
    words = f"{found.rows} labels, calibration error {found.error:.3g}, p {found.p_value:.2g}"
    return Assumption(name=name, holds=found.p_value >= LEVEL, words=words)


def _on_labels(spec, labelled: Answered, meaning: Meaning, window: str, earlier) -> Assumption:
    if len(labelled.truth) and not spec.task_type.check_truth(labelled.truth):
        said = spec.task_type.predicted(labelled.answers)
        own = _tested(labelled, meaning(said), ON_LABELS)
        if own.holds is not None:
            return own.model_copy(update={"window": window})
    for report in reversed(earlier):
        for assumption in report.estimated.assumptions if report.estimated else ():
            if assumption.name == ON_LABELS and assumption.window == report.window:
                words = f"of window {report.window}: {assumption.words}"
                return assumption.model_copy(update={"words": words})
    return Assumption(name=ON_LABELS, holds=None, words="no window has enough labels yet")


def _in_range(said: "np.ndarray", known: "np.ndarray") -> Assumption:
    if said.ndim > 1:
        said, known = said.max(axis=1), known.max(axis=1)
    outside = float(((said < known.min()) | (said > known.max())).mean())
    # Of as many new rows from the same source, 2 in n + 1 lie outside the range of n.
    allowed = OUTSIDE + 2 / (len(known) + 1)
    return Assumption(
        name=IN_RANGE, holds=outside <= allowed, words=f"{outside:.2%} are outside of it"
    )


def _expected(spec, said, probability, weights) -> MetricEstimate:
    """The expected metric, and the quantiles of what drawn labels make of it."""
    import numpy as np

    metric = METRICS[spec.decay_metric]
    shares = probability if said.ndim > 1 else np.column_stack([1 - probability, probability])
    rows, classes = shares.shape
    truth = np.repeat(np.arange(classes), rows)
    twice = np.concatenate([said] * classes)
    by_class = (shares * weights[:, None]).T.reshape(-1)
    value = float(metric.weighted(truth, twice, by_class[None, :])[0])
    upto = np.cumsum(shares, axis=1)
    rng = np.random.default_rng(0)
    draws = []
    block = max(1, CELLS_AT_ONCE // len(truth))
    for first in range(0, DRAWS, block):
        size = min(block, DRAWS - first)
        picked = (rng.random((size, rows, 1)) * upto[:, -1:] >= upto[None, :, :-1]).sum(axis=2)
        drawn = (picked[:, None, :] == np.arange(classes)[None, :, None]) * weights
        draws.append(metric.weighted(truth, twice, drawn.reshape(size, -1)))
    known = np.concatenate(draws)
    known = known[np.isfinite(known)]
    if len(known) < DRAWS // 2:  # as where hardly a positive is to be expected
        return MetricEstimate(metric=metric.name, value=value, low=-math.inf, high=math.inf)
    low, high = np.quantile(known, [spec.gate.alpha / 2, 1 - spec.gate.alpha / 2])
    return MetricEstimate(metric=metric.name, value=value, low=float(low), high=float(high))
