"""A regressor's answers at another level: what a recalibrated regression is saved as."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

# The slope is moved only on evidence as strong as this.
ALPHA = 0.01


class Rescaled(RegressorMixin, BaseEstimator):
    """A fitted regressor whose answers are moved to the level of newer rows.

    Of answers and targets that are not negative, ``exp(level) * answer ** slope``, by the Poisson
    pseudo-likelihood, which finds the mean of any such target (Gourieroux, Monfort and Trognon,
    "Pseudo Maximum Likelihood Methods: Applications to Poisson Models", Econometrica 52, 1984);
    with the slope at 1 that makes expected equal observed in the sum. Of others, ``level + slope *
    answer`` by least squares (Mincer and Zarnowitz, "The Evaluation of Economic Forecasts", 1969).

    The slope stays 1 unless a score test that is robust to the spread (Boos, "On Generalized Score
    Tests", The American Statistician 46, 1992) finds at level 0.01 that it is not: a slope that is
    fitted on noise would take from the order's ends what the level gives to the middle.

    Parameters
    ----------
    estimator : fitted regressor
        Is asked, and never fitted again.

    Attributes
    ----------
    link_ : {"log", "identity"}
    level_, slope_ : float

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> x = np.arange(1.0, 6.0).reshape(-1, 1)
    >>> base = LinearRegression().fit(x, x.ravel())
    >>> moved = Rescaled(base).fit(x, 1.2 * x.ravel())
    >>> moved.predict(x).round(6)
    array([1.2, 2.4, 3.6, 4.8, 6. ])
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def fit(self, X, y, sample_weight=None) -> "Rescaled":
        """Find level and slope.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
        sample_weight : array-like of shape (n_rows,), optional

        Raises
        ------
        ValueError
            When all targets, or all answers, are 0 where none is negative: no level fits.
        """
        truth = np.asarray(y, dtype=np.float64)
        weights = np.ones(len(truth)) if sample_weight is None else np.asarray(sample_weight)
        answers = np.asarray(self.estimator.predict(X), dtype=np.float64)
        self.link_ = "log" if (answers >= 0).all() and (truth >= 0).all() else "identity"
        fit = _fit_log if self.link_ == "log" else _fit_identity
        self.level_, self.slope_ = fit(truth, answers, weights)
        return self

    def predict(self, X) -> np.ndarray:
        """The estimator's answers at the new level, shape (n_rows,)."""
        check_is_fitted(self)
        answers = np.asarray(self.estimator.predict(X), dtype=np.float64)
        if self.link_ == "identity":
            return self.level_ + self.slope_ * answers
        if self.slope_ != 1.0:
            answers = answers**self.slope_
        return np.exp(self.level_) * answers


def _fit_log(truth, answers, weights) -> tuple[float, float]:
    observed, expected = float(weights @ truth), float(weights @ answers)
    if observed <= 0 or expected <= 0:
        raise ValueError(f"observed {observed:g}, expected {expected:g}: no level fits")
    level = float(np.log(observed / expected))
    if (answers <= 0).any():
        return level, 1.0
    fitted, x = answers * observed / expected, np.log(answers)
    if not _slope_moved(truth - fitted, x, weights, fitted):
        return level, 1.0
    from sklearn.linear_model import PoissonRegressor

    # In units in which the solver's tolerance means something.
    scale = observed / float(weights.sum())
    glm = PoissonRegressor(alpha=0.0, solver="newton-cholesky", tol=1e-10)
    glm.fit(x.reshape(-1, 1), truth / scale, sample_weight=weights)
    return float(glm.intercept_ + np.log(scale)), float(glm.coef_[0])


def _fit_identity(truth, answers, weights) -> tuple[float, float]:
    level = float(np.average(truth - answers, weights=weights))
    if not _slope_moved(truth - answers - level, answers, weights, np.ones_like(answers)):
        return level, 1.0
    centre, mean = np.average(answers, weights=weights), np.average(truth, weights=weights)
    apart = answers - centre
    slope = float((weights * apart) @ (truth - mean) / ((weights * apart) @ apart))
    return float(mean - slope * centre), slope


def _slope_moved(residuals, x, weights, variance) -> bool:
    """Whether residuals still go with ``x`` once the level is right."""
    from scipy.stats import norm

    apart = x - np.average(x, weights=weights * variance)
    scores = weights * residuals * apart
    spread = float(np.sqrt(scores @ scores))
    return spread > 0 and abs(scores.sum()) > norm.isf(ALPHA / 2) * spread
