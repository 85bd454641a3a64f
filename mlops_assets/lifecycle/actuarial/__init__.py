"""What an actuary asks of a frequency model: A/E by segment, double lift, relativities."""

from mlops_assets.lifecycle.actuarial.figures import a_over_e, relativities_figure, segments
from mlops_assets.lifecycle.actuarial.tables import (
    actual_over_expected,
    double_lift,
    levels,
    poisson_interval,
    relativities,
)

__all__ = [
    "a_over_e",
    "actual_over_expected",
    "double_lift",
    "levels",
    "poisson_interval",
    "relativities",
    "relativities_figure",
    "segments",
]
