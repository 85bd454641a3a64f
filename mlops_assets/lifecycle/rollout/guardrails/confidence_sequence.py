"""A confidence sequence for a difference of two means."""

import numpy as np
from scipy.special import log_ndtr


def log_e_normal(s, v, scale: float):
    """Log of the one-sided normal-mixture e-process of a Brownian motion with drift <= 0.

    ``E = 2 (1 + scale^2 v)^(-1/2) exp(x^2 / 2) Phi(x)`` with ``x = scale s / sqrt(1 + scale^2 v)``:
    drifts are half-normal a priori (Robbins, "Statistical methods related to the law of the
    iterated logarithm", Annals of Mathematical Statistics 41, 1970). With estimated variances it
    is asymptotic, uniformly over time (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
    "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics
    52, 2024).

    Parameters
    ----------
    s : array_like of shape (...)
        The motion: estimate times information.
    v : array_like of shape (...)
        Information: one over the variance of the estimate.
    scale : float
        Standard deviation of the drift a priori: where the power is.
    """
    spread = 1 + scale**2 * np.asarray(v)
    x = scale * np.asarray(s) / np.sqrt(spread)
    return np.log(2) - 0.5 * np.log(spread) + 0.5 * x**2 + log_ndtr(x)


def margin(v, level: float, scale: float):
    """Half width of the one-sided confidence sequence after each look, of shape (...)."""
    v = np.asarray(v, float)
    low = np.full(v.shape, -40.0)
    high = np.full(v.shape, 400.0)
    for _ in range(60):
        middle = (low + high) / 2
        crossed = log_e_normal(middle * np.sqrt(v), v, scale) >= -np.log(level)
        low, high = np.where(crossed, low, middle), np.where(crossed, middle, high)
    return high / np.sqrt(v)
