"""What a KPI is: a figure of a model's answers on the hold-out, and what it must reach."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mlops_assets.lifecycle.declaration import Declaration
from mlops_assets.lifecycle.gate.band import Band, Decide

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.gate.evidence import Scored
    from mlops_assets.lifecycle.metrics.base import Resampled


class Kpi(Declaration):
    """A figure over the hold-out; its fields are what is declared in YAML.

    A *relative* KPI is held against the champion's as a ratio, and only reported for a first
    model; any other against its band for every model.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    roles: ClassVar[tuple[str, ...]] = ()
    relative: ClassVar[bool] = True

    decide: Decide = Field("bound", description="What is held against the limit.")

    @property
    @abstractmethod
    def band(self) -> Band:
        """What the ratio to the champion's, or the figure itself, must be."""

    @abstractmethod
    def resampled(self, evidence: "Scored", scores: "np.ndarray") -> "Resampled":
        """The figure as a function of how often each unit was drawn.

        Raises
        ------
        EvidenceError
            When a column that it needs is not there or holds what is no number.
        """

    def cells(self, evidence: "Scored") -> int:
        """Numbers that one draw needs at a time."""
        return evidence.count


class GreaterIsBetter(Kpi):
    """A KPI that must not fall; without ``min_ratio`` it is only reported."""

    min_ratio: float | None = Field(None, gt=0, description="To the champion's, at least.")

    @property
    def band(self) -> Band:
        return Band() if self.min_ratio is None else Band(low=self.min_ratio)


class LessIsBetter(Kpi):
    """A KPI that must not rise; without ``max_ratio`` it is only reported."""

    max_ratio: float | None = Field(None, gt=0, description="To the champion's, at most.")

    @property
    def band(self) -> Band:
        return Band() if self.max_ratio is None else Band(high=self.max_ratio)
