"""The rules of the gate, one class each; every one that was declared must pass."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.gate.rules.answers import AnswersVary
from mlops_assets.lifecycle.gate.rules.base import GateRule
from mlops_assets.lifecycle.gate.rules.calibration import Calibration
from mlops_assets.lifecycle.gate.rules.fairness import Fairness
from mlops_assets.lifecycle.gate.rules.hold_out import DisjointUnits, Representative
from mlops_assets.lifecycle.gate.rules.kpi import KpiRule
from mlops_assets.lifecycle.gate.rules.limits import Limits
from mlops_assets.lifecycle.gate.rules.primary import Floors, Primary
from mlops_assets.lifecycle.gate.rules.retests import Retests
from mlops_assets.lifecycle.gate.rules.slices import Slices

if TYPE_CHECKING:
    from mlops_assets.lifecycle.gate.evidence import Evidence
    from mlops_assets.lifecycle.reports import Rule

RULES: dict[str, GateRule] = {
    cls.name: cls()
    for cls in (
        Primary,
        Floors,
        AnswersVary,
        KpiRule,
        Slices,
        Fairness,
        Calibration,
        Limits,
        DisjointUnits,
        Representative,
        Retests,
    )
}


def judged(evidence: "Evidence") -> "list[Rule]":
    """What every rule that applies found, in the order of ``RULES``."""
    return [line for rule in RULES.values() for line in rule.judge(evidence)]


__all__ = ["RULES", "GateRule", "judged"]
