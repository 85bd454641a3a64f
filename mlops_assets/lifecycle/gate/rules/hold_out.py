"""What the hold-out itself must be."""

from mlops_assets.lifecycle.gate.band import Band, bounds
from mlops_assets.lifecycle.gate.rules.base import GateRule
from mlops_assets.lifecycle.reports import Rule, RulePart

SHOWN = 5


class DisjointUnits(GateRule):
    """The units of the hold-out were not trained on; blocks only where that is declared.

    A model may know a customer by heart. Where it will meet the same customers again that is fair;
    where it will meet others, the hold-out flatters it.
    """

    name = "hold_out.disjoint_units"

    def judge(self, evidence):
        import numpy as np

        unit = evidence.spec.columns.unit
        if unit is None:
            return []
        units = evidence.rows[unit].unique()
        shared = int(np.isin(units, evidence.training[unit].unique()).sum())
        share = shared / len(units)
        required = evidence.spec.gate.hold_out.disjoint_units
        words = f"{shared} of {len(units)} units ({share:.1%}) of the hold-out were trained on"
        return [
            Rule(
                name=self.name,
                status="failed" if required and shared else "passed",
                observed=share,
                limit=str(Band(high=0)) if required else "",
                words=words if required else f"{words}; reported only",
            )
        ]


class Representative(GateRule):
    """A classifier can hardly tell the hold-out from the last live rows.

    The area under its ROC curve, cross-validated, is 0.5 where the two are alike (Lopez-Paz and
    Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017). It warns, or blocks where declared.
    """

    name = "hold_out.representative"

    def judge(self, evidence):
        from mlops_assets.lifecycle.gate.domain import tell_apart

        policy = evidence.spec.gate.hold_out.representative
        if policy is None:
            return []
        band = Band(high=policy.max_auc)
        live = evidence.live
        if live is None or len(live.rows) < policy.min_rows:
            return [self._unknown(evidence, policy, band)]
        found = tell_apart(evidence.spec, evidence.rows, live, evidence.alpha)
        status = band.status(found.auc, "point")
        told = ", ".join(f"{p.name} ({p.observed:.2g})" for p in found.features[:3])
        words = (
            f"AUC {bounds(found.auc)} between the hold-out and {found.rows} live rows of "
            f"{live.window}; allowed {band}; told apart most by {told or 'nothing'}"
        )
        if status == "failed" and not policy.block:
            status, words = "passed", f"warning: {words}"
        return [
            Rule(
                name=self.name,
                status=status,
                observed=found.auc.estimate,
                limit=str(band),
                low=found.auc.low,
                high=found.auc.high,
                words=words,
                parts=[
                    RulePart(name=p.name, rows=found.rows, observed=p.observed)
                    for p in found.features[:SHOWN]
                ],
            )
        ]

    def _unknown(self, evidence, policy, band):
        have = 0 if evidence.live is None else len(evidence.live.rows)
        words = f"{have} live rows where {policy.min_rows} are needed: not compared"
        first = evidence.champion is None
        if first:
            words += "; a first model has no traffic yet"
        blocked = policy.block and not first
        return Rule(
            name=self.name,
            status="not_enough_evidence" if blocked else "passed",
            observed=None,
            limit=str(band),
            words=words if blocked or first else f"warning: {words}",
        )
