"""Holding an estimate with its interval against a limit."""

import math
from dataclasses import dataclass
from typing import Literal

from mlops_assets.lifecycle.digits import digits
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.reports import Status

Decide = Literal["point", "bound"]


@dataclass(frozen=True)
class Band:
    """What is allowed, both ends included.

    Examples
    --------
    >>> str(Band(low=0.98)), str(Band(high=0.1)), str(Band(0.9, 1.1))
    ('>= 0.98', '<= 0.1', '0.9 to 1.1')
    """

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        if math.isinf(self.low) and math.isinf(self.high):
            return ""
        if math.isinf(self.high):
            return f">= {self.low:g}"
        return f"<= {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"

    def status(self, found: Interval, decide: Decide) -> Status:
        """Whether the estimate (``point``), or its whole interval (``bound``), is inside.

        An interval that reaches over an end leaves it open; what is not a number is never inside.
        """
        if decide == "point":
            return "passed" if self.low <= found.estimate <= self.high else "failed"
        if self.low <= found.low and found.high <= self.high:
            return "passed"
        outside = found.high < self.low or found.low > self.high
        return "failed" if outside else "not_enough_evidence"


def bounds(found: Interval) -> str:
    """An estimate with its bounds, in words."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return f"{digits(found.estimate)} (no interval from {found.units} units)"
    return f"{digits(found.estimate)} ({digits(found.low)} to {digits(found.high)})"
