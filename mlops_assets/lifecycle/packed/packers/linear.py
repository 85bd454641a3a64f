"""Linear models: coefficients, intercept and link."""

from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.outputs import BINARY
from mlops_assets.lifecycle.packed.packers.columns import Columns
from mlops_assets.lifecycle.packed.packers.registry import Predictor, check_task, predictor
from mlops_assets.lifecycle.packed.plan import Option

# OpenBLAS divides larger products of a row and a matrix among threads (interface/gemv.c).
MOST_COEFFICIENTS = 9215
GLM_LINKS = {"IdentityLink": "identity", "LogLink": "log"}


@predictor(
    "sklearn.linear_model._base.LinearRegression",
    "sklearn.linear_model._ridge.Ridge",
    "sklearn.linear_model._coordinate_descent.Lasso",
    "sklearn.linear_model._coordinate_descent.ElasticNet",
)
def least_squares(estimator: Any, columns: Columns, task: str) -> Predictor:
    """The linear predictor itself."""
    check_task(estimator, task)
    return _linear(estimator, columns, "identity")


@predictor(
    "sklearn.linear_model._glm.glm.PoissonRegressor",
    "sklearn.linear_model._glm.glm.GammaRegressor",
    "sklearn.linear_model._glm.glm.TweedieRegressor",
)
def generalized(estimator: Any, columns: Columns, task: str) -> Predictor:
    """A generalized linear model, whose link is that of its loss."""
    check_task(estimator, task)
    link = type(estimator._base_loss.link).__name__
    if link not in GLM_LINKS:
        raise NotPackable(f"{type(estimator).__name__} with a {link} can't be packed")
    return _linear(estimator, columns, GLM_LINKS[link])


@predictor("sklearn.linear_model._logistic.LogisticRegression")
def logistic(estimator: Any, columns: Columns, task: str) -> Predictor:
    """Binary or multinomial logistic regression."""
    check_task(estimator, task)
    return _linear(estimator, columns, "logit" if task == BINARY else "multinomial_logit")


def _linear(estimator: Any, columns: Columns, link: str) -> Predictor:
    name = type(estimator).__name__
    coef, intercept = np.asarray(estimator.coef_), np.atleast_1d(estimator.intercept_)
    if coef.dtype != np.float64:
        raise NotPackable(f"the {name} was fitted in {coef.dtype}")
    if not columns.sparse and coef.size > MOST_COEFFICIENTS:
        raise NotPackable(
            f"the {name} has {coef.size} coefficients, and beyond {MOST_COEFFICIENTS} the order in "
            "which BLAS adds depends on its threads"
        )
    # As it is in memory: BLAS may go another way through a transposed matrix.
    coef = coef.reshape(1, -1) if coef.ndim == 1 else coef
    coef = np.ascontiguousarray(coef) if columns.sparse else coef
    outputs = len(coef)
    if (outputs > 1) != (link == "multinomial_logit"):
        raise NotPackable(f"the {name} answers {outputs} numbers a row")
    whole = np.broadcast_to(intercept.astype(np.float64), (outputs,)).copy()
    options: dict[str, Option] = {"link": link, "sparse": columns.sparse}
    return Predictor("linear", {"coef": coef, "intercept": whole}, options, columns)
