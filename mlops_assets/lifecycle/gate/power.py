"""How likely a test of today's size finds a difference."""

import math


def power(spread: float, units: int, difference: float, alpha: float) -> float:
    """Probability that a one-sided z-test of ``units`` finds a true ``difference``.

    The inverse of :func:`~mlops_assets.lifecycle.gate.decide.units_needed`; for a margin: how
    likely a model that is exactly as good is shown to be non-inferior. Chow, Shao and Wang,
    "Sample Size Calculations in Clinical Research" (2008), section 3.2. 0 where it can't be told.

    Parameters
    ----------
    spread : float
        Standard deviation of one unit's contribution, as :class:`Interval` has it.
    units : int
    difference : float
        Above 0, in the metric's units.
    alpha : float

    Examples
    --------
    >>> round(power(1.0, 619, 0.1, 0.05), 3)
    0.8
    """
    from scipy.stats import norm

    if not math.isfinite(spread) or difference <= 0 or units < 1:
        return 0.0
    if spread == 0:
        return 1.0
    return float(norm.cdf(difference / spread * math.sqrt(units) - norm.ppf(1 - alpha)))
