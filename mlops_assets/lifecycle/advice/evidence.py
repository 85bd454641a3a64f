"""What an advice is made from: the two reports of a window, and what they say together."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.lifecycle.decay.report import PerformanceReport
    from mlops_assets.lifecycle.drift.report import ColumnDrift, DriftReport
    from mlops_assets.lifecycle.spec import ModelSpec

TOGETHER = 0.5
# Labels come in batches: the first answers of a window that are due wait for the next one.
LEAST_DUE = 0.05


@dataclass(frozen=True)
class Evidence:
    """The reports of one window and version.

    Parameters
    ----------
    spec : ModelSpec
    drift : DriftReport
    performance : PerformanceReport
    now : datetime
        Aware.
    """

    spec: "ModelSpec"
    drift: "DriftReport"
    performance: "PerformanceReport"
    now: datetime

    @cached_property
    def features(self) -> "list[ColumnDrift]":
        """What the model is asked with."""
        return [c for c in self.drift.columns if c.role == "feature"]

    @cached_property
    def drifted_features(self) -> "list[ColumnDrift]":
        """Features that drifted, the furthest beyond their threshold first."""
        moved = [c for c in self.features if c.verdict == "drifted"]
        return sorted(moved, key=lambda c: -times_threshold(c))

    @cached_property
    def amounts(self) -> "list[ColumnDrift]":
        """Numbers that have a unit: numeric features, and labels that are no classes."""
        counted = self.spec.task in ("regression", "count_regression")
        labels = [c for c in self.drift.columns if c.role == "label" and counted]
        return [c for c in (*self.features, *labels) if c.kind == "numeric"]

    @property
    def moved_together(self) -> bool:
        """More than half of the features drifted, and more than one.

        One feed that broke moves its own columns; another population moves most of them.
        """
        moved = len(self.drifted_features)
        return moved > 1 and moved > TOGETHER * len(self.features)

    @property
    def joins_labels(self) -> bool:
        """Something says which answer a label belongs to."""
        return not self.spec.task_type.tabular or bool(self.spec.columns.join_key)

    @property
    def labels_due(self) -> bool:
        """Every label of the window should be there; unknown without windows, and then False."""
        end = self.spec.grid.window(self.drift.window).end
        return end is not None and end + self.spec.columns.label_delay <= self.now

    @property
    def labels_tell(self) -> bool:
        """Labels are due of enough answers to look at the feed: 50 and 5 % of them, or all."""
        from mlops_assets.lifecycle.decay.maturity import LEAST_LABELS

        due, answers = self.performance.due or 0, self.performance.predictions
        return due >= max(LEAST_LABELS, LEAST_DUE * answers) or self.labels_due

    @property
    def decayed(self) -> bool:
        """The realised metric fell below what was declared."""
        return self.performance.verdict == "decayed"

    @property
    def judged_on_labels(self) -> bool:
        """Labels say how good the answers were: a verdict on declared decay was reached."""
        declared = self.spec.monitoring.decay is not None
        return declared and self.performance.verdict in ("healthy", "decayed")


def times_threshold(column: "ColumnDrift") -> float:
    """How far beyond its threshold a column is; 1 where that is not known."""
    return column.value / column.threshold if column.value and column.threshold else 1.0


def named(columns: "list[ColumnDrift]", most: int = 5) -> str:
    """Columns with how far each is beyond its threshold, the first ``most`` of them."""
    told = [f"{c.column} ({times_threshold(c):.1f} times its threshold)" for c in columns[:most]]
    left = len(columns) - len(told)
    return ", ".join(told) + (f" and {left} more" if left else "")
