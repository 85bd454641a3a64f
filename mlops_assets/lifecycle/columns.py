"""Which column plays which role in a model's feature frame."""

from datetime import timedelta

from pydantic import Field

from mlops_assets.lifecycle.declaration import Declaration, Duration


class Columns(Declaration):
    """Roles of columns. Every other column of the feature frame is a feature."""

    target: str | None = None
    time: str | None = Field(None, description="When the row happened; windows are cut by it.")
    unit: str | None = Field(None, description="What is independent: a customer, a card.")
    weight: str | None = Field(
        None, description="What a row counts for; the exposure of task: count_regression."
    )
    kpi: str | None = Field(
        None, description="What a row is worth (gate.kpi); a feature too, unless it is ignored."
    )
    item: str | None = Field(None, description="What is recommended (task: ranking).")
    key: list[str] = Field(
        default_factory=list, description="Identifies a row; joins ground truth to answers."
    )
    ignore: list[str] = Field(
        default_factory=list, description="Kept in the data, never shown to the model."
    )
    label_delay: Duration = Field(timedelta(0), description="Until labels are complete.")

    @property
    def roles(self) -> set[str]:
        """Columns that are not features."""
        one = {self.target, self.time, self.unit, self.weight, self.item}
        named = one | {*self.key, *self.ignore}
        return {c for c in named if c is not None}

    @property
    def required(self) -> list[str]:
        """Columns that must exist and hold no null."""
        named = (self.target, self.time, self.unit, self.weight, self.kpi, self.item)
        return [c for c in named if c is not None]

    @property
    def join_key(self) -> list[str]:
        """What joins a prediction to its label: ``key``, or else unit and time."""
        return self.key or [c for c in (self.unit, self.time) if c is not None]
