"""The declared KPIs on a window's labelled answers."""

import math
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.decay.labelled import Window
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate.evidence import Scored
from mlops_assets.lifecycle.gate.resampling import over_units
from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.tasks import Cases

if TYPE_CHECKING:
    from mlops_assets.lifecycle.kpi import Kpi
    from mlops_assets.lifecycle.spec import ModelSpec


def kpis(spec: "ModelSpec", window: Window) -> tuple[list[MetricEstimate], dict[str, str]]:
    """Each of ``gate.kpi`` with its interval over units, at level ``1 - gate.alpha``.

    Returns
    -------
    found : list of MetricEstimate
    missing : dict of str to str
        Why a KPI could not be told, by its name.
    """
    found: list[MetricEstimate] = []
    missing: dict[str, str] = {}
    if not spec.gate.kpis:
        return found, missing
    rows = window.rows
    if spec.columns.time is not None:
        rows = rows.assign(**{spec.columns.time: rows["at"]})
    answered = window.answered
    cases = Cases(None, answered.truth, answered.clusters, answered.weights)
    scored = Scored(spec, rows.reset_index(drop=True), cases)
    scores = spec.task_type.predicted(answered.answers)
    for kpi in spec.gate.kpis:
        problem = _unknown(kpi, spec, scored)
        if problem is None:
            figure = kpi.resampled(scored, scores)
            level = over_units(figure, scored.count, spec.gate.alpha / 2, kpi.cells(scored))
            ends = (level.estimate, level.low, level.high)
            if all(math.isfinite(x) for x in ends):
                names = ("value", "low", "high")
                figures = dict(zip(names, ends, strict=True))
                found.append(MetricEstimate(metric=kpi.name, **figures))
                continue
            problem = f"no finite interval; units with labels: {scored.count}"
        missing[kpi.name] = problem
    return found, missing


def _unknown(kpi: "Kpi", spec: "ModelSpec", scored: Scored) -> str | None:
    """Why the log does not tell what the KPI needs."""
    if "kpi" not in kpi.roles:
        return None
    worth = str(spec.columns.kpi)
    if not spec.task_type.tabular:
        return f"the log does not say what each item is worth ({worth})"
    if worth not in scored.rows.columns:
        return f"{worth} is not in the prediction log: it is no feature"
    try:
        scored.numbers(worth)
    except EvidenceError as error:
        return str(error)
    return None
