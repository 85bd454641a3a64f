"""What a drift report says."""

from datetime import datetime
from typing import Literal

from mlops_assets.lifecycle.report_base import Report

DriftVerdict = Literal["stable", "drifted", "insufficient_data", "broken"]
Kind = Literal["numeric", "categorical", "boolean", "datetime", "text"]
Role = Literal["feature", "prediction", "label"]


class ColumnSide(Report):
    """A column on one side: the reference, or live traffic.

    Shares are of all rows; moments and quantiles are of numbers (text: of its length, times: of
    seconds since 1970), None for others. ``at_median`` is the share of the numbers that are the
    median, None where others are in its bin.
    """

    rows: int
    missing: float
    mean: float | None = None
    sd: float | None = None
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None
    at_median: float | None = None
    unseen: float | None = None


class ColumnDrift(Report):
    """One column of a drift report.

    ``unseen`` of ``live`` is the share of rows in categories that the reference does not have; of
    ``reference`` the share that is to be expected (its singletons over its rows).
    """

    column: str
    kind: Kind
    role: Role = "feature"
    statistic: str
    value: float | None
    threshold: float | None
    verdict: DriftVerdict
    reason: str = ""
    reference: ColumnSide | None = None
    live: ColumnSide | None = None


class JointDrift(Report):
    """All columns together, on ``rows`` rows a side.

    ``value`` is how often a live row is told from one of the reference, 0.5 where it is chance.
    """

    statistic: str
    value: float | None
    threshold: float | None
    rows: int
    columns: list[str]
    verdict: DriftVerdict
    reason: str = ""


class DriftReport(Report):
    """Live traffic of a window against what the version was judged on.

    ``drifted`` is of any column, or of all together; ``prediction_drifted`` of the answers alone:
    the first warns, the second is what a person is called for.
    """

    model: str
    window: str
    version: int
    rows: int
    reference_rows: int
    columns: list[ColumnDrift]
    multivariate: JointDrift | None = None
    share: float
    drifted: bool
    prediction_drifted: bool = False
    verdict: DriftVerdict
    false_alarms: float
    calibration: str = ""
    html: str | None
    created_at: datetime
