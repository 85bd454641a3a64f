"""The gate's own metric: against the champion, and against the declared floors."""

from mlops_assets.lifecycle.gate import decide
from mlops_assets.lifecycle.gate.band import Band
from mlops_assets.lifecycle.gate.rules.base import GateRule
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.reports import Rule


class Primary(GateRule):
    """The challenger is not worse than the champion in ``gate.metric``, by the gate's test.

    Non-inferiority by interval: the one-sided bound of the gain lies above minus the margin
    (Wellek, "Testing Statistical Hypotheses of Equivalence and Noninferiority", 2010, chapter 2).
    """

    name = "metric"

    def judge(self, evidence):
        policy = evidence.spec.gate
        verdict, words = decide.primary(policy, evidence.comparison, evidence.baseline)
        compared = evidence.comparison or evidence.baseline
        if verdict in policy.accept:
            status = "passed"
        else:
            status = "not_enough_evidence" if verdict == "not_enough_evidence" else "failed"
        if verdict in ("better", "non_inferior") and status == "failed":
            words += f"; accepted is only {', '.join(policy.accept)}"
        return [
            Rule(
                name=self.name,
                status=status,
                observed=compared.gain if compared else None,
                limit=f"> {-compared.margin:g}" if compared else "",
                low=compared.low if compared else None,
                high=compared.high if compared else None,
                words=words,
            )
        ]


class Floors(GateRule):
    """The challenger reaches each declared floor, by value; the interval is shown beside it."""

    name = "floor"

    def judge(self, evidence):
        found = {estimate.metric: estimate for estimate in evidence.estimates}
        return [
            self._line(found[metric], floor) for metric, floor in evidence.spec.gate.floor.items()
        ]

    def _line(self, found, floor):
        least = METRICS[found.metric].sign > 0
        missed = decide.missed_floor(found, floor)
        return Rule(
            name=f"{self.name}.{found.metric}",
            status="failed" if missed else "passed",
            observed=found.value,
            limit=str(Band(low=floor) if least else Band(high=floor)),
            low=found.low,
            high=found.high,
            words=missed or f"{found.metric} {found.value:.4g} reaches its floor {floor:g}",
        )
