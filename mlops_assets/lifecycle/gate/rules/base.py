"""What a rule of the gate is."""

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from mlops_assets.lifecycle.gate.band import Band, Decide, bounds
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.reports import Rule, RulePart

if TYPE_CHECKING:
    from mlops_assets.lifecycle.gate.evidence import Evidence


class GateRule(ABC):
    """One thing that must hold before a challenger may serve."""

    name: ClassVar[str]

    @abstractmethod
    def judge(self, evidence: "Evidence") -> list[Rule]:
        """What was found: a line for each thing that was declared, none where nothing was.

        Raises
        ------
        EvidenceError
            When the evidence can't be read.
        """


def held_against(
    name: str,
    what: str,
    found: Interval,
    band: Band,
    decide: Decide,
    parts: list[RulePart] | None = None,
) -> Rule:
    """The line of a rule that holds a figure with its interval against a band."""
    status = band.status(found, decide)
    limit = str(band)
    words = f"{what} {bounds(found)}"
    if limit:
        words += f"; allowed {limit}"
    if status == "not_enough_evidence":
        words += ": the interval reaches over it, more units would decide"
    if not math.isfinite(found.estimate):
        status, words = "failed", f"{what} is {found.estimate}: nothing is decided on it"
    return Rule(
        name=name,
        status=status,
        observed=found.estimate,
        limit=limit,
        low=found.low,
        high=found.high,
        words=words,
        parts=parts or [],
    )
