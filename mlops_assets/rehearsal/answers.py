"""The answers of a window with their labels, as metrics and KPIs read them."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.assets.keys import LIVE_PREDICTIONS, VALIDATED_FEATURES, key
from mlops_assets.lifecycle.decay.labelled import labelled_window
from mlops_assets.lifecycle.evaluation import estimate
from mlops_assets.lifecycle.gate.evidence import Scored
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.tasks import Cases
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.traffic import row_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.spec import ModelSpec


@dataclass(frozen=True)
class Answers:
    """The labelled answers of one window under one policy, in the order of their rows.

    Parameters
    ----------
    versions : dict of int to int
        Answers by version, labelled or not.
    rows : DataFrame of shape (n_rows, n_columns)
        The feature frame's rows.
    truth, predicted, units, weights : ndarray of shape (n_rows, ...)
    problem : str
        Why no metric can be told; empty where one can.
    """

    versions: dict[int, int]
    rows: "pd.DataFrame"
    truth: "np.ndarray"
    predicted: "np.ndarray"
    units: "np.ndarray"
    weights: "np.ndarray"
    problem: str

    @property
    def answers(self) -> int:
        """Answers, labelled or not."""
        return sum(self.versions.values())


def answers_of(copy: Copy, window: str, now: datetime) -> Answers:
    """Read what was answered in a window and what turned out to be true by ``now``.

    Raises
    ------
    EvidenceError
        When the window was never watched.
    """
    import numpy as np

    spec = copy.spec
    live = copy.frames.load(key(spec, LIVE_PREDICTIONS), window)
    live = live.sort_values("prediction_id", ignore_index=True)
    counts = live["version"].value_counts().sort_index()
    # Whichever version gave them: what is judged here is the policy.
    labelled = labelled_window(spec, live.drop(columns="version"), now)
    places = [row_of(name) for name in labelled.rows["prediction_id"]]
    rows = copy.frames.load(key(spec, VALIDATED_FEATURES), window).iloc[places]
    answered = labelled.answered
    problem = "no prediction has a mature label"
    if places:
        metric = METRICS[spec.decay_metric]
        problem = spec.task_type.check_scored(answered.truth, metric) or ""
    return Answers(
        versions={int(v): int(n) for v, n in counts.items()},
        rows=rows.reset_index(drop=True),
        truth=answered.truth,
        predicted=spec.task_type.predicted(answered.answers) if places else np.empty(0),
        units=np.asarray(answered.units),
        weights=answered.weights,
        problem=problem,
    )


def metric(spec: "ModelSpec", found: Answers) -> tuple[MetricEstimate | None, str]:
    """The realised metric with its interval, or why there is none."""
    if found.problem:
        return None, found.problem
    name, alpha = spec.decay_metric, spec.gate.alpha
    value = estimate(name, found.truth, found.predicted, found.units, alpha, found.weights)
    if not math.isfinite(value.value):
        return None, f"{name} is not finite"
    return value, ""


def kpis(spec: "ModelSpec", found: Answers) -> dict[str, float]:
    """The declared KPIs over the labelled answers; those that are not finite are left out."""
    import numpy as np

    if found.problem or not spec.gate.kpis:
        return {}
    cases = Cases(None, found.truth, found.units, found.weights)
    evidence = Scored(spec, found.rows, cases)
    values = {}
    for kpi in spec.gate.kpis:
        with np.errstate(divide="ignore", invalid="ignore"):
            once = np.ones((1, evidence.count), np.uint8)
            value = float(kpi.resampled(evidence, found.predicted)(once)[0])
        if math.isfinite(value):
            values[kpi.name] = value
    return values
