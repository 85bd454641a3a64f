"""The stretches of a rollout, each of one share."""

from dataclasses import dataclass
from datetime import datetime

from mlops_assets.lifecycle.errors import EvidenceError


@dataclass(frozen=True)
class Period:
    """A stretch of the rollout with one share.

    Parameters
    ----------
    start : datetime
        Aware.
    end : datetime or None
        None for the one that goes on.
    share : float
        Of the units that the canary answers, 0 to 1; 0 for a shadow.
    """

    start: datetime
    end: datetime | None
    share: float


def check(periods: list[Period]) -> None:
    """Check that periods follow each other.

    Raises
    ------
    EvidenceError
        Naming the period.
    """
    if not periods:
        raise EvidenceError("a rollout without a period has no traffic")
    for period, following in zip(periods, [*periods[1:], None], strict=True):
        if period.start.tzinfo is None:
            raise EvidenceError(f"the period from {period.start} has no time zone")
        if not 0 <= period.share < 1:
            raise EvidenceError(f"the period from {period.start} has the share {period.share}")
        end = period.end
        if end is not None and end <= period.start:
            raise EvidenceError(f"the period from {period.start} ends before it begins ({end})")
        if following is not None and (end is None or end > following.start):
            raise EvidenceError(f"the periods from {period.start} and {following.start} overlap")
