"""Frequency models in the manner of scikit-learn: boosted trees that balance, and a GLM.

Both are fitted on claims a year of exposure, with the exposure as the weight: for a Poisson
deviance that is the same as claims with the exposure's logarithm as offset.
"""

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

_TEXT = make_column_selector(dtype_exclude="number")
_NUMBERS = make_column_selector(dtype_include="number")


class RebalancedBoosting(HistGradientBoostingRegressor):
    """Poisson gradient boosting whose expected total on its training data is the actual one.

    A GLM with its canonical link balances by its score equations. Boosting does not: shrinkage,
    penalties and early stopping leave it off by some percent, which is a premium too low or too
    high for everyone. The remedy of M. V. Wuthrich, "Bias regularization in neural network models
    for general insurance pricing", European Actuarial Journal 10 (2020), section 2, shifts the
    intercept. So does this, on the scale of the logarithm: every prediction is multiplied by the
    same factor.

    Parameters
    ----------
    As of ``HistGradientBoostingRegressor``; ``loss`` must be ``poisson``.

    Attributes
    ----------
    balance_ : float
        Actual over expected total before it was rebalanced.
    """

    def fit(self, X, y, sample_weight=None):
        """Boost, then shift the intercept.

        Parameters
        ----------
        X : DataFrame or ndarray of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
            Non-negative, of a positive total.
        sample_weight : array-like of shape (n_rows,), optional
            Exposure.

        Returns
        -------
        RebalancedBoosting
        """
        if self.loss != "poisson":
            raise ValueError(f"only loss='poisson' is rebalanced by a factor, got {self.loss!r}")
        super().fit(X, y, sample_weight=sample_weight)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        self.balance_ = float(weight @ np.asarray(y) / (weight @ self.predict(X)))
        # The intercept and not a factor behind the link, so that the model stays of one piece and
        # is packed, loaded and explained as any other of its kind.
        self._baseline_prediction: np.ndarray = self._baseline_prediction + np.log(self.balance_)
        return self


def glm(alpha: float = 1e-4, knots: int = 6) -> Pipeline:
    """A Poisson GLM with log link: splines in the numbers, levels of the text columns.

    Parameters
    ----------
    alpha : float
        L2 penalty.
    knots : int
        Of each cubic spline, at quantiles; linear beyond the outermost.

    Returns
    -------
    Pipeline
        Its last step is the ``PoissonRegressor``.
    """
    splines = SplineTransformer(n_knots=knots, knots="quantile", extrapolation="linear")
    levels = OneHotEncoder(
        drop="first", handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False
    )
    columns = make_column_transformer(
        (make_pipeline(splines, StandardScaler()), _NUMBERS), (levels, _TEXT)
    )
    model = PoissonRegressor(alpha=alpha, solver="newton-cholesky", max_iter=300)
    return Pipeline([("columns", columns), ("model", model)])
