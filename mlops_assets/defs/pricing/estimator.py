"""A demand model whose response to price is an elasticity, learned from randomised prices."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from mlops_assets.defs.pricing.elasticity import estimate, shrink


class _ReadsFrames(RegressorMixin, BaseEstimator):
    def __sklearn_tags__(self):
        """Say that text columns and missing numbers are read as they are."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags


class DemandModel(_ReadsFrames):
    """Units sold: a boosted level times a power of the price.

    ``E[units | x, price] = level(x) * (price / list_price) ** elasticity[product]``. Two parts,
    because two questions are asked of a demand model. How much will be sold is a forecast, and any
    feature that predicts may serve it: ``level`` is gradient boosting, and sees what the category
    manager planned, which tells how strong he expects demand to be. What another price would do is
    a causal question, and the logged prices answer it wrong: they were set by people who knew more
    than the data. The elasticities come from the prices that were drawn at random, product by
    product, shrunk towards their mean; the level is fitted given them.

    Demand falls in price whatever the data say: the elasticity is kept within ``bounds``.

    Parameters
    ----------
    product, store, period : str
        Columns of ``X``: what has an elasticity, where it is sold, and the week; ``period`` may
        not repeat within the training data.
    price, list_price, explored : str
        Columns of ``X``: the price asked, the price that it is measured against, and whether it
        was drawn at random.
    bounds : tuple of float
        Least and greatest elasticity, both negative.
    assumed : tuple of float, optional
        Mean and standard deviation of the elasticities of all products, from an experiment or from
        elsewhere: no price need have been drawn at random then, and every product has these.
    learning_rate, max_iter, max_leaf_nodes, min_samples_leaf, random_state
        Of the ``HistGradientBoostingRegressor``.

    Attributes
    ----------
    products_ : ndarray of str, shape (n_products,)
        Sorted.
    elasticity_, elasticity_sd_ : ndarray of shape (n_products,)
        Posterior mean, within ``bounds``, and standard deviation.
    mean_elasticity_, mean_elasticity_sd_ : float
        What a product without randomised prices has; the deviation includes how products differ.
    level_ : Pipeline
    """

    def __init__(
        self,
        product: str = "product",
        store: str = "store",
        period: str = "week_of_year",
        price: str = "price",
        list_price: str = "list_price",
        explored: str = "explored",
        bounds: tuple[float, float] = (-6.0, -0.1),
        assumed: tuple[float, float] | None = None,
        learning_rate: float = 0.08,
        max_iter: int = 150,
        max_leaf_nodes: int = 8,
        min_samples_leaf: int = 40,
        random_state: int | None = None,
    ):
        self.product = product
        self.store = store
        self.period = period
        self.price = price
        self.list_price = list_price
        self.explored = explored
        self.bounds = bounds
        self.assumed = assumed
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: pd.DataFrame, y) -> "DemandModel":
        """Learn the elasticities, and the level given them.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
            Units sold.

        Returns
        -------
        DemandModel

        Raises
        ------
        ValueError
            When no price was drawn at random and no elasticity is assumed, or ``bounds`` are not
            negative and in order.
        """
        low, high = self.bounds
        if not low < high < 0:
            raise ValueError(f"bounds must be negative and in order, got {self.bounds}")
        units = np.asarray(y, dtype=np.float64)
        log_ratio = self._log_ratio(X)
        if self.assumed is None:
            self._learn_elasticities(X, units, log_ratio)
        else:
            self.products_ = np.empty(0, dtype="U1")
            self.elasticity_ = self.elasticity_sd_ = np.empty(0)
            mean, self.mean_elasticity_sd_ = map(float, self.assumed)
            self.mean_elasticity_ = float(np.clip(mean, low, high))
        response = np.exp(self._elasticities(X)[0] * log_ratio)
        self.level_ = self._level(X)
        last = self.level_.steps[-1][0]
        # units / response with the response as weight has the Poisson score of an offset.
        weight = {f"{last}__sample_weight": response}
        self.level_.fit(self._without_price(X), units / response, **weight)
        return self

    def _learn_elasticities(self, X: pd.DataFrame, units: np.ndarray, log_ratio) -> None:
        by_product = estimate(
            units,
            log_ratio,
            X[self.explored].to_numpy() == 1,
            product=X[self.product].to_numpy(),
            period=X[self.period].to_numpy(),
            store=X[self.store].to_numpy(),
        )
        prior = shrink(by_product)
        # pandas keeps str as object, which skops would have to pickle; "U" is plain memory.
        self.products_ = prior.products.astype("U")
        self.elasticity_ = np.clip(prior.posterior, *self.bounds)
        self.elasticity_sd_ = prior.posterior_sd
        self.mean_elasticity_ = float(np.clip(prior.mean, *self.bounds))
        self.mean_elasticity_sd_ = float(np.hypot(prior.mean_se, prior.between))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Expected units at the prices in ``X``, shape (n_rows,)."""
        check_is_fitted(self)
        response = np.exp(self._elasticities(X)[0] * self._log_ratio(X))
        return self.level_.predict(self._without_price(X)) * response

    def elasticity(self, X: pd.DataFrame, confidence: float = 0.9) -> pd.DataFrame:
        """The elasticity at each row, with an interval.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, >= 1)
        confidence : float
            Of the two-sided interval, which is normal.

        Returns
        -------
        DataFrame of shape (n_rows, 3)
            elasticity, low, high. An unknown product has the mean of the known ones, and their
            spread.
        """
        from scipy.stats import norm

        check_is_fitted(self)
        centre, sd = self._elasticities(X)
        half = norm.ppf(0.5 + confidence / 2) * sd
        found = {"elasticity": centre, "low": centre - half, "high": centre + half}
        return pd.DataFrame(found, index=X.index)

    def _elasticities(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        place = pd.Index(self.products_).get_indexer(X[self.product])
        # The last entry is what unknown products, at -1, have.
        centre = np.append(self.elasticity_, self.mean_elasticity_)
        sd = np.append(self.elasticity_sd_, self.mean_elasticity_sd_)
        return centre[place], sd[place]

    def _log_ratio(self, X: pd.DataFrame) -> np.ndarray:
        ratio = X[self.price].to_numpy() / X[self.list_price].to_numpy()
        if not (np.isfinite(ratio) & (ratio > 0)).all():
            raise ValueError(f"{self.price} and {self.list_price} must be positive numbers")
        return np.log(ratio)

    def _without_price(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.drop(columns=[self.price, self.explored])

    def _level(self, X: pd.DataFrame):
        features = self._without_price(X)
        text = [c for c in features.columns if features[c].dtype.kind not in "biuf"]
        levels = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        boosting = HistGradientBoostingRegressor(
            loss="poisson",
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            early_stopping=False,
            random_state=self.random_state,
        )
        encode = make_column_transformer((levels, text), remainder="passthrough")
        return make_pipeline(encode, boosting)


class RecentUnits(_ReadsFrames):
    """The mean of the last weeks, whatever the price: the floor any demand model must beat.

    Parameters
    ----------
    column : str
        The column of ``X`` that holds it.

    Attributes
    ----------
    mean_ : float
        Of the training data, where the column is missing.
    """

    def __init__(self, column: str = "recent_units"):
        self.column = column

    def fit(self, X: pd.DataFrame, y) -> "RecentUnits":
        """Remember the mean of ``y``."""
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The column itself, shape (n_rows,)."""
        check_is_fitted(self)
        return X[self.column].fillna(self.mean_).to_numpy()
