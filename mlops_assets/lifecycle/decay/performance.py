"""Decay: the realised metric of a window against what was promised on the hold-out."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from mlops_assets.lifecycle.decay.report import PerformanceReport
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.evaluation import estimate
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets.lifecycle.weights import weights_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.spec import ModelSpec


def performance(
    spec: "ModelSpec",
    live: "pd.DataFrame",
    hold_out: MetricEstimate | None,
    *,
    window: str,
    version: int,
    now: datetime,
) -> PerformanceReport:
    """Estimate ``monitoring.decay.metric`` on the answers whose labels are complete, and judge it.

    A label is complete ``columns.label_delay`` after the prediction: earlier, those that have
    arrived are not like those that have not. The verdict is

    - ``decayed`` when even the favourable end of the realised interval (level ``1 - gate.alpha``,
      over units) is worse than the hold-out's value by more than ``monitoring.decay.drop``;
    - ``insufficient_data`` without labels, with one class, with too few units for an interval,
      and without the hold-out's value where decay is declared;
    - ``healthy`` else. Without ``monitoring.decay`` the metric is realised, ``drop`` is 0 and no
      metric is ever ``decayed``.

    Parameters
    ----------
    spec : ModelSpec
    live : DataFrame of shape (n_predictions, n_columns)
        The version's rows of :func:`~mlops_assets.lifecycle.live.live_predictions`.
    hold_out : MetricEstimate or None
        ``monitoring.decay.metric`` when the version was judged.
    window : str
    version : int
    now : datetime
        Aware.

    Raises
    ------
    EvidenceError
        When ``hold_out`` is of another metric, or a weight is no number above 0.
    """
    if hold_out is not None and hold_out.metric != spec.decay_metric:
        raise EvidenceError(
            f"{spec.name}: the hold-out's {hold_out.metric} can't judge {spec.decay_metric}"
        )
    labelled = labelled_answers(spec, live, now)
    realised, problem = _realise(spec, labelled)
    verdict, reason = ("insufficient_data", problem)
    if realised is not None:
        verdict, reason = _judge(spec, realised, hold_out)
    decay = spec.monitoring.decay
    return PerformanceReport(
        model=spec.name,
        window=window,
        version=version,
        metric=spec.decay_metric,
        predictions=len(live),
        labelled=len(labelled.truth),
        realised=realised,
        hold_out=hold_out,
        drop=decay.drop if decay else 0.0,
        verdict=verdict,
        reason=reason,
        created_at=datetime.now(UTC),
    )


@dataclass(frozen=True)
class Labelled(Answered):
    """Answers whose labels have matured.

    Parameters
    ----------
    units : ndarray of str, shape (n_rows,)
    """

    units: "np.ndarray"


def labelled_answers(spec: "ModelSpec", live: "pd.DataFrame", now: datetime) -> Labelled:
    """The rows of :func:`~mlops_assets.lifecycle.live.live_predictions` with a complete label.

    Raises
    ------
    EvidenceError
        When a weight is no number above 0.
    """
    label, weight = spec.label_column, spec.columns.weight
    mature = live[live["at"] + spec.columns.label_delay <= now]
    rows = mature[_has_label(mature[label], spec.task_type.tabular)]
    if weight is not None:
        # How much a row counts for comes with its label: one without says nothing yet.
        rows = rows[rows[weight].notna()]
    weights = weights_of(rows, spec.columns)
    # Who did not say which unit it is counts as one of its own.
    units = rows["unit"].where(rows["unit"].notna(), rows["prediction_id"])
    return Labelled(
        truth=spec.task_type.scored_truth(_truth(rows[label], spec.task_type.tabular), weights),
        answers=[json.loads(answer) for answer in rows["answer"]],
        units=units.to_numpy(dtype=str),
        weights=weights,
    )


def _has_label(labels: "pd.Series", tabular: bool) -> "np.ndarray":
    import numpy as np

    if tabular:
        return labels.notna().to_numpy()
    # The hold-out, too, has only units that took something up.
    return np.array([v is not None and len(v) > 0 for v in labels], dtype=bool)


def _truth(labels: "pd.Series", tabular: bool) -> "np.ndarray":
    import numpy as np

    if not tabular:
        truth = np.empty(len(labels), dtype=object)
        truth[:] = [list(items) for items in labels]
        return truth
    values = labels.to_numpy()
    # Whole numbers were made floats by the NaN of the labels not known yet.
    if values.dtype.kind == "f" and (values == np.rint(values)).all():
        return values.astype(np.int64)
    return values


def _realise(spec: "ModelSpec", labelled: Labelled) -> tuple[MetricEstimate | None, str]:
    if len(labelled.truth) == 0:
        return None, "no prediction has a mature label"
    problem = spec.task_type.check_truth(labelled.truth)
    if problem:
        return None, problem
    predicted = spec.task_type.predicted(labelled.answers)
    found = estimate(
        spec.decay_metric,
        labelled.truth,
        predicted,
        labelled.units,
        spec.gate.alpha,
        labelled.weights,
    )
    if not all(math.isfinite(x) for x in (found.value, found.low, found.high)):
        units = len(set(labelled.units))
        return None, f"no finite interval for {found.metric}; units with labels: {units}"
    return found, ""


def _judge(
    spec: "ModelSpec", realised: MetricEstimate, hold_out: MetricEstimate | None
) -> tuple[Literal["healthy", "decayed", "insufficient_data"], str]:
    if spec.monitoring.decay is None:
        return "healthy", "no monitoring.decay is declared"
    if hold_out is None or not math.isfinite(hold_out.value):
        return "insufficient_data", "the hold-out's value is not known"
    sign = METRICS[realised.metric].sign
    limit = hold_out.value - sign * spec.monitoring.decay.drop
    best = realised.high if sign > 0 else realised.low
    words = (
        f"{realised.metric} {realised.value:.4g} [{realised.low:.4g}, {realised.high:.4g}], "
        f"hold-out {hold_out.value:.4g}, limit {limit:.4g}"
    )
    return ("decayed" if sign * best < sign * limit else "healthy"), words
