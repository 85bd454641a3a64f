"""What a rule of the advisor is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from mlops_assets.lifecycle.advice.evidence import Evidence
    from mlops_assets.lifecycle.advice.report import Action


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Parameters
    ----------
    words : str
        For a person who has not seen the reports: names columns and figures.
    columns : tuple of str
    needs_person : bool
        Evidence that should be there is not.
    """

    words: str
    columns: tuple[str, ...] = ()
    needs_person: bool = False


class AdviceRule(ABC):
    """One sign in the reports, and what it asks for."""

    action: "ClassVar[Action]"

    @abstractmethod
    def look(self, evidence: "Evidence") -> list[Finding]:
        """What was found; empty where the sign is not there."""
