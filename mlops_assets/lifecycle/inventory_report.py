"""What an inventory holds; imports nothing of what takes it."""

from datetime import date, datetime
from typing import Literal

from mlops_assets.lifecycle.report_base import Report

Status = Literal["in_production", "retired", "not_in_production"]


class Change(Report):
    """Something that happened to what serves of a model."""

    at: datetime
    action: str
    version: int
    who: str
    why: str


class InventoryModel(Report):
    """One model of the inventory.

    ``version`` is what serves (of a retired model: what served last), ``since`` when the change
    that made it so was done, on the word of ``who``. ``rollout`` tells of a version on its way.
    """

    model: str
    status: Status
    declared: bool
    task: str
    purpose: str
    owners: list[str]
    version: int | None
    since: datetime | None
    first_served: datetime | None
    who: str
    why: str
    rollout: str
    evaluation: str
    evaluated_at: datetime | None
    drift: str
    drift_window: str
    changes: list[Change]


class Inventory(Report):
    """All models at one moment, with their changes in a period; None: without a bound there."""

    made_at: datetime
    since: date | None
    until: date | None
    models: list[InventoryModel]

    def changed(self) -> "Inventory":
        """Only the models that changed in the period."""
        return self.model_copy(update={"models": [m for m in self.models if m.changes]})
