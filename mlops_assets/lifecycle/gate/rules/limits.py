"""What a version costs to serve."""

import time

from mlops_assets.lifecycle.gate.band import Band
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.gate.rules.base import GateRule, held_against
from mlops_assets.lifecycle.reports import Rule

WARM_UP, CALLS = 10, 200


class Limits(GateRule):
    """The version's files are small enough, and it answers one row fast enough.

    Size: all files of the version. Latency: the 95th percentile of calls with one row each, in this
    process, of the form that is served: the packed one where the version has it, else the estimator
    on a frame of one row. Neither network nor prediction log is in it; the canary's guardrail
    ``latency_p95`` watches what users wait for.
    """

    name = "limits"

    def judge(self, evidence):
        policy = evidence.spec.gate.limits
        lines = []
        if policy is not None and policy.latency_ms is not None:
            lines.append(self._latency(evidence, Band(high=policy.latency_ms)))
        if policy is not None and policy.size_mb is not None:
            lines.append(self._size(evidence, Band(high=policy.size_mb)))
        return lines

    def _size(self, evidence, band):
        name, files = f"{self.name}.size_mb", evidence.challenger.files
        if files is None:
            return _not_measured(name, band)
        size = sum(f.stat().st_size for f in files.rglob("*") if f.is_file()) / 1e6
        return _exactly(name, "all files, in MB:", size, band)

    def _latency(self, evidence, band):
        name, files = f"{self.name}.latency_ms", evidence.challenger.files
        if files is None:
            return _not_measured(name, band)
        form, ask = _served_form(evidence, files)
        rows = [i % len(evidence.cases.truth) for i in range(WARM_UP + CALLS)]
        milliseconds = _p95([_timed(ask, row) for row in rows][WARM_UP:])
        return _exactly(name, f"p95 of {CALLS} calls of the {form}, in ms:", milliseconds, band)


def _served_form(evidence, files):
    """What is served, in words, and a function that asks it about one row."""
    from mlops_assets.lifecycle.packed.estimator import PackedEstimator
    from mlops_assets.lifecycle.packed.worker import PACKED_FOLDER

    task, asked = evidence.spec.task_type, evidence.cases.asked
    if not (files / PACKED_FOLDER).is_dir():
        estimator = evidence.challenger.estimator
        return "estimator", lambda row: task.answers(estimator, asked[row : row + 1])
    packed = PackedEstimator.load(files / PACKED_FOLDER)
    if task.tabular:
        names = [feature.name for feature in packed.model.features]
        table = asked[names].astype(object)
        values = table.where(table.notna(), None).to_numpy().tolist()
    else:
        values = [[unit] for unit in asked]
    return "packed form", lambda row: task.answers(packed, packed.encode([values[row]]))


def _timed(ask, row):
    began = time.perf_counter()
    ask(row)
    return (time.perf_counter() - began) * 1000


def _p95(values):
    import numpy as np

    return float(np.quantile(values, 0.95))


def _exactly(name, what, value, band):
    line = held_against(name, what, Interval(value, value, value, 0.0, 1, 1.0), band, "point")
    words = f"{what} {value:.4g}; allowed {band}"
    return line.model_copy(update={"low": None, "high": None, "words": words})


def _not_measured(name, band):
    return Rule(
        name=name,
        status="not_enough_evidence",
        observed=None,
        limit=str(band),
        words="the version's files are not at hand to be measured",
    )
