"""Decay: what a window's answers turned out to be worth against what the hold-out promised."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.lifecycle.decay.calibration import calibration
from mlops_assets.lifecycle.decay.discrimination import discrimination
from mlops_assets.lifecycle.decay.estimated import MOST_ROWS, estimated
from mlops_assets.lifecycle.decay.hold_out import HoldOut, Promise
from mlops_assets.lifecycle.decay.kpis import kpis
from mlops_assets.lifecycle.decay.labelled import Window, labelled_window
from mlops_assets.lifecycle.decay.loss import known, loss
from mlops_assets.lifecycle.decay.maturity import feed_problem
from mlops_assets.lifecycle.decay.one_label import beyond_chance
from mlops_assets.lifecycle.decay.report import (
    EstimatedPerformance,
    LabelMaturity,
    PerformanceReport,
)
from mlops_assets.lifecycle.gate import Interval, default_test
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.tasks.base import Answered, places
from mlops_assets.lifecycle.weights import weights_of

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.spec import ModelSpec

Verdict = Literal["healthy", "decayed", "insufficient_data"]


def performance(
    spec: "ModelSpec",
    live: "pd.DataFrame",
    hold_out: HoldOut,
    *,
    window: str,
    version: int,
    now: datetime,
    earlier: Sequence[PerformanceReport] = (),
    maturity: tuple[LabelMaturity | None, str] = (None, "no earlier window"),
) -> PerformanceReport:
    """Judge a version's answers in a window by ``monitoring.decay.metric`` on complete labels.

    The verdict is

    - ``decayed`` when the test of "not worse than the hold-out by more than ``drop``"
      (:func:`~mlops_assets.lifecycle.decay.loss.loss`) has a p-value below
      ``monitoring.decay.false_alarms``. That is the false-alarm rate of one report where live is
      worse by just ``drop``; where it is not worse at all it is smaller. Each report is a test of
      its own: nothing is corrected for how many are looked at.
    - ``insufficient_data`` without labels, with too few units for an interval, with far fewer
      labels than should have come, with a ``label_delay`` at which labels are not complete, and
      without the hold-out's value where decay is declared. With one class, too, unless the metric
      is a mean over rows: then ``decayed`` holds, and ``healthy`` where chance explains the one
      class (:func:`~mlops_assets.lifecycle.decay.one_label.beyond_chance`);
    - ``healthy`` else. Without ``monitoring.decay`` the metric is realised, ``drop`` is 0 and no
      metric is ever ``decayed``.

    Everything else in the report describes, and never decides.

    Parameters
    ----------
    spec : ModelSpec
    live : DataFrame of shape (n_predictions, n_columns)
        The version's rows of :func:`~mlops_assets.lifecycle.live.live_predictions`.
    hold_out : HoldOut
        The version's.
    window : str
    version : int
    now : datetime
        Aware.
    earlier : sequence of PerformanceReport
        Of the windows before, oldest first.
    maturity : tuple of LabelMaturity or None, and str
        From :func:`~mlops_assets.lifecycle.decay.maturity.maturity`.

    Raises
    ------
    EvidenceError
        When a weight is no number above 0, or rows are of several versions.
    """
    found = labelled_window(spec, live, now)
    promised = hold_out.promise(spec, spec.decay_metric)
    parts: dict[str, Any] = {}
    missing: dict[str, str] = {}

    def tell(name: str, part: tuple[Any, str]) -> None:
        parts[name], words = part
        if parts[name] is None:
            missing[name] = words

    tell("maturity", maturity)
    realised, unrealised = _realise(spec, found)
    problem = unrealised or feed_problem(spec, found, parts["maturity"], earlier)
    verdict: Verdict = "insufficient_data"
    p_value: float | None = None
    reason: str | None = problem
    one_label = ""
    if realised is not None and not problem:
        verdict, p_value, reason = _judge(spec, realised, promised)
        one_label = beyond_chance(spec, found.answered, hold_out.rows)
        if one_label and verdict == "healthy":
            # A feed that tells one thing flatters whoever says the same.
            verdict, p_value, reason = "insufficient_data", None, one_label
    figures: list[MetricEstimate] = []
    if realised is not None:
        figures, untold = kpis(spec, found)
        missing |= untold
        tell("calibration", calibration(spec, found.answered, hold_out.rows))
        tell("discrimination", discrimination(spec, found.answered, hold_out))
    else:
        missing |= dict.fromkeys(("realised", "calibration", "discrimination"), unrealised)
    own = [report for report in earlier if report.version == version]
    tell("estimated", _estimated(spec, live, found, hold_out, window, own))
    decay = spec.monitoring.decay
    return PerformanceReport(
        model=spec.name,
        window=window,
        version=version,
        metric=spec.decay_metric,
        predictions=len(live),
        labelled=len(found.answered.truth),
        due=found.due,
        known=found.known,
        realised=realised and _bounded(spec.decay_metric, realised),
        hold_out=promised and promised.estimate,
        drop=decay.drop if decay else 0.0,
        false_alarms=decay and decay.false_alarms,
        verdict=verdict,
        reason=reason or "",
        p_value=p_value,
        one_label=one_label,
        kpis=figures,
        missing=missing,
        created_at=datetime.now(UTC),
        **parts,
    )


def _realise(spec: "ModelSpec", found: Window) -> tuple[Interval | None, str]:
    """The metric with one-sided bounds at level ``1 - gate.alpha / 2`` over units."""
    answered, metric = found.answered, METRICS[spec.decay_metric]
    if len(answered.truth) == 0:
        return None, "no prediction has a mature label"
    problem = spec.task_type.check_scored(answered.truth, metric) or _unscorable(spec, answered)
    if problem:
        return None, problem
    level = default_test(metric).level(
        metric,
        answered.truth,
        spec.task_type.predicted(answered.answers),
        answered.clusters,
        spec.gate.alpha / 2,
        answered.weights,
    )
    if not all(math.isfinite(x) for x in (level.estimate, level.low, level.high)):
        return None, f"no finite interval for {metric.name}; units with labels: {level.units}"
    return level, ""


def _unscorable(spec: "ModelSpec", answered: Answered) -> str | None:
    """Why answers can't be held against their labels, or None when they can."""
    import numpy as np

    said = spec.task_type.predicted(answered.answers)
    if not spec.task_type.tabular:
        return None
    if said.dtype.kind not in "fiu" or not np.isfinite(said).all():
        return "an answer is NaN, infinite or no number"
    if said.ndim > 1 and answered.truth.max() >= said.shape[1]:
        known_to = said.shape[1] - 1
        return f"a label of class {answered.truth.max()}, and the version knows 0 to {known_to}"
    return None


def _bounded(name: str, level: Interval) -> MetricEstimate:
    low, high = METRICS[name].bounds
    return MetricEstimate(
        metric=name, value=level.estimate, low=max(level.low, low), high=min(level.high, high)
    )


def _judge(
    spec: "ModelSpec", realised: Interval, promised: Promise | None
) -> tuple[Verdict, float | None, str]:
    decay = spec.monitoring.decay
    if decay is None:
        return "healthy", None, "no monitoring.decay is declared"
    if promised is None or not known(promised):
        return "insufficient_data", None, "the hold-out's value or its interval is not known"
    metric = METRICS[spec.decay_metric]
    lost = loss(metric, realised, promised, decay.drop, spec.gate.alpha)
    worse = "worse" if lost.value > 0 else "better"
    words = (
        f"{metric.name} {realised.estimate:.4g} [{realised.low:.4g}, {realised.high:.4g}] is "
        f"{abs(lost.value):.3g} {worse} than the hold-out's {promised.estimate.value:.4g} "
        f"[{promised.estimate.low:.4g}, {promised.estimate.high:.4g}]; {decay.drop:g} worse is "
        f"allowed: p {lost.p_value:.2g}, decayed below {decay.false_alarms:g} a report"
    )
    verdict: Verdict = "decayed" if lost.p_value < decay.false_alarms else "healthy"
    return verdict, lost.p_value, words


def _estimated(
    spec: "ModelSpec",
    live: "pd.DataFrame",
    found: Window,
    hold_out: HoldOut,
    window: str,
    own: Sequence[PerformanceReport],
) -> tuple[EstimatedPerformance | None, str]:
    import numpy as np

    rows, weight = live, spec.columns.weight
    if weight is not None:
        rows = rows[rows[weight].notna()]
    rows = rows.iloc[places(len(rows), MOST_ROWS)]
    answers = [json.loads(answer) for answer in rows["answer"]]
    weights = np.ones(len(rows)) if weight is None else weights_of(rows, spec.columns)
    rest = (found.answered, hold_out.rows)
    return estimated(spec, answers, weights, *rest, window=window, earlier=own)
