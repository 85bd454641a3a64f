"""What the business must not lose."""

import math

from mlops_assets.lifecycle.gate.band import Band, bounds
from mlops_assets.lifecycle.gate.resampling import over_units
from mlops_assets.lifecycle.gate.rules.base import GateRule, held_against
from mlops_assets.lifecycle.reports import Rule


class KpiRule(GateRule):
    """Each KPI keeps to its band: a ratio to the champion's, or the challenger's own figure.

    Both figures of a ratio are taken on the same draws of units: a paired cluster bootstrap
    (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
    """

    name = "kpi"

    def judge(self, evidence):
        return [self._line(kpi, evidence) for kpi in evidence.spec.gate.kpis]

    def _line(self, kpi, evidence):
        name = f"{self.name}.{kpi.name}"
        ours = kpi.resampled(evidence, evidence.scores)
        cells = kpi.cells(evidence)
        own = over_units(ours, evidence.count, evidence.alpha, cells)
        if not kpi.relative:
            return held_against(name, "challenger", own, kpi.band, kpi.decide)
        if evidence.champion_scores is None:
            return _reported(name, own)
        theirs = kpi.resampled(evidence, evidence.champion_scores)
        rival = over_units(theirs, evidence.count, evidence.alpha, cells).estimate
        ratio = over_units(
            lambda counts: ours(counts) / theirs(counts), evidence.count, evidence.alpha, cells
        )
        what = f"challenger {own.estimate:.6g}, champion {rival:.6g}, ratio"
        line = held_against(name, what, ratio, kpi.band, kpi.decide)
        if kpi.band == Band() and math.isfinite(ratio.estimate):
            return line.model_copy(update={"status": "passed", "words": f"{line.words}; reported"})
        return line


def _reported(name, own) -> Rule:
    finite = math.isfinite(own.estimate)
    return Rule(
        name=name,
        status="passed" if finite else "failed",
        observed=own.estimate,
        limit="",
        low=own.low,
        high=own.high,
        words=f"challenger {bounds(own)}; no champion to hold it against, reported only",
    )
