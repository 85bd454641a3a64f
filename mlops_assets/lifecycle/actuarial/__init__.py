"""What an actuary asks of a frequency model: A/E, Lorenz curve, double lift, relativities."""

from mlops_assets.lifecycle.actuarial.figures import plots
from mlops_assets.lifecycle.actuarial.tables import (
    actual_over_expected,
    double_lift,
    levels,
    lorenz,
    relativities,
)

__all__ = ["actual_over_expected", "double_lift", "levels", "lorenz", "plots", "relativities"]
