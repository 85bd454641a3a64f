"""What an advice says."""

from datetime import datetime
from typing import Literal

from mlops_assets.lifecycle.report_base import Report

Action = Literal["leave", "recalibrate", "refit", "fix_the_data"]


class Advice(Report):
    """What to do about a window, and why.

    ``reasons`` begin with what decided. ``columns`` are those that the reasons for the action name.
    ``needs_person`` when evidence that should be there is not: whoever reads "leave" then must not
    take it for "all is well". ``drift_report_at`` and ``performance_report_at`` are ``created_at``
    of the reports that it was made from: an advice on other reports than those at hand is void.
    """

    model: str
    window: str
    version: int
    action: Action
    reasons: list[str]
    columns: list[str]
    needs_person: bool = False
    drift_report_at: datetime
    performance_report_at: datetime
    created_at: datetime
