"""What every report is: frozen, typed, stored as JSON."""

from pydantic import BaseModel, ConfigDict


class Report(BaseModel):
    """Base of every report: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), ser_json_inf_nan="constants"
    )


class MetricEstimate(Report):
    """A metric on the hold-out with its confidence interval."""

    metric: str
    value: float
    low: float
    high: float
