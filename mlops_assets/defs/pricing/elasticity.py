"""Price elasticities from randomised prices: an estimate a product, and shrinkage over products."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

_STEPS, _CLOSE = 50, 1e-10
_SWEEPS = 500
_RIDGE = 1e-8  # a store that sold nothing has no finite effect


@dataclass(frozen=True)
class Elasticities:
    """Elasticities of products, shrunk towards their mean; arrays of shape (n_products,).

    Parameters
    ----------
    products : ndarray
        Sorted.
    posterior, posterior_sd : ndarray
    mean, mean_se : float
        Of the distribution of elasticities over products.
    between : float
        Its standard deviation.
    """

    products: np.ndarray
    posterior: np.ndarray
    posterior_sd: np.ndarray
    mean: float
    mean_se: float
    between: float


def estimate(
    units: np.ndarray,
    log_price: np.ndarray,
    explored: np.ndarray,
    *,
    product: np.ndarray,
    period: np.ndarray,
    store: np.ndarray,
) -> pd.DataFrame:
    """The elasticity of each product, from the stores whose price was drawn at random.

    Within a product and a week, stores where the price was drawn are compared with those where it
    was not. What the manager knew about the week is the same for all of them and cancels: a
    Poisson regression with an effect for each week and each store (J. Hausman, B. Hall and
    Z. Griliches, "Econometric Models for Count Data", Econometrica 52, 1984), whose week effects
    have a closed form. Only the mean has to be right for it (J. Wooldridge, "Distribution-free
    estimation of some nonlinear panel data models", Journal of Econometrics 90, 1999); the
    standard errors leave out one week at a time, because a sandwich of few weeks is too small
    (J. MacKinnon and H. White, Journal of Econometrics 29, 1985).

    Parameters
    ----------
    units, log_price, product, period, store : ndarray of shape (n_rows,)
    explored : ndarray of bool, shape (n_rows,)
        Whether the price was drawn.

    Returns
    -------
    DataFrame of shape (n_products, 2)
        elasticity and se, by product in order; NaN where a product has fewer than two weeks with
        a drawn price beside an other one.

    Raises
    ------
    ValueError
        When no product has an estimate.
    """
    rows = pd.DataFrame(
        {
            "units": units,
            "log_price": log_price,
            "explored": explored,
            "product": product,
            "period": period,
            "store": store,
        }
    )
    found = {name: _of_one_product(part) for name, part in rows.groupby("product", sort=True)}
    table = pd.DataFrame.from_dict(found, orient="index", columns=["elasticity", "se"])
    if not table["elasticity"].notna().any():
        raise ValueError(
            "no product has weeks in which some prices were drawn at random and others not: the "
            "response to price can't be told from the reasons for which prices were set"
        )
    return table


def _of_one_product(rows: pd.DataFrame) -> tuple[float, float]:
    by_week = rows.groupby("period")
    # Nothing sold in a week tells nothing, and a week with one kind of price compares nothing.
    telling = (
        (by_week["units"].transform("sum") > 0)
        & by_week["explored"].transform("any")
        & ~by_week["explored"].transform("all")
    )
    rows = rows[telling]
    if rows["period"].nunique() < 2:
        return np.nan, np.nan
    stores = pd.get_dummies(rows["store"], drop_first=True, dtype=float).to_numpy()
    design = np.column_stack([rows["log_price"].to_numpy(), stores])
    weeks = pd.factorize(rows["period"])[0]
    return _within_weeks(design, rows["units"].to_numpy(), weeks)


def _within_weeks(design: np.ndarray, units: np.ndarray, weeks: np.ndarray) -> tuple[float, float]:
    """First coefficient and its robust error of a Poisson regression with week effects."""
    beta = np.zeros(design.shape[1])
    totals = np.bincount(weeks, units)
    for _ in range(_STEPS):
        centred, mean = _expected(design, beta, totals, weeks)
        score = centred.T @ (units - mean)
        curvature = (centred * mean[:, None]).T @ centred + _RIDGE * np.eye(len(beta))
        step = np.linalg.solve(curvature, score)
        beta += np.clip(step, -1, 1)
        if np.abs(step).max() < _CLOSE:
            break
    else:
        return np.nan, np.nan
    return float(beta[0]), _jackknifed(centred, units - mean, mean, weeks)


def _jackknifed(
    centred: np.ndarray, error: np.ndarray, mean: np.ndarray, weeks: np.ndarray
) -> float:
    """Standard error of the first coefficient, by one Newton step with each week left out."""
    count, width = weeks.max() + 1, centred.shape[1]
    scores = np.zeros((count, width))
    np.add.at(scores, weeks, centred * error[:, None])
    parts = np.zeros((count, width, width))
    np.add.at(parts, weeks, centred[:, :, None] * (centred * mean[:, None])[:, None, :])
    left = parts.sum(axis=0) - parts + _RIDGE * np.eye(width)
    moved = np.linalg.solve(left, (scores.sum(axis=0) - scores)[:, :, None])[:, 0, 0]
    return float(np.sqrt((count - 1) / count * ((moved - moved.mean()) ** 2).sum()))


def _expected(
    design: np.ndarray, beta: np.ndarray, totals: np.ndarray, weeks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The design centred within weeks by the expected units, and these, given the weeks' totals."""
    rate = np.exp(design @ beta)
    share = rate / np.bincount(weeks, rate)[weeks]
    mean = totals[weeks] * share
    centre = np.zeros((len(totals), design.shape[1]))
    np.add.at(centre, weeks, design * share[:, None])
    return design - centre[weeks], mean


def logged_elasticity(
    units: np.ndarray, price: np.ndarray, *, product: np.ndarray, period: np.ndarray
) -> float:
    """What logged prices say: log units on log price, with effects of products and of weeks.

    The usual panel regression, by ordinary least squares. It describes how sales and prices moved
    together, and answers what a price does only where nobody set prices by what he knew of demand.

    Parameters
    ----------
    units, price, product, period : ndarray of shape (n_rows,)
        Rows without a sale or a price are left out.

    Returns
    -------
    float
    """
    rows = pd.DataFrame({"units": units, "price": price, "product": product, "period": period})
    rows = rows[(rows["units"] > 0) & (rows["price"] > 0)]
    logs = np.log(rows[["price", "units"]].to_numpy(dtype=float))
    effects = [pd.factorize(rows[name])[0] for name in ("product", "period")]
    for _ in range(_SWEEPS):
        before = logs.copy()
        for codes in effects:
            count = np.bincount(codes)
            means = [np.bincount(codes, column) / count for column in logs.T]
            logs = logs - np.column_stack(means)[codes]
        if np.abs(logs - before).max() < _CLOSE:
            break
    return float(logs[:, 0] @ logs[:, 1] / (logs[:, 0] @ logs[:, 0]))


def shrink(estimates: pd.DataFrame) -> Elasticities:
    """Shrink each product's estimate towards the mean of all, by how uncertain it is.

    The empirical Bayes of a random-effects meta-analysis: estimates are normal around elasticities
    that are normal over products, with a variance by R. Paule and J. Mandel, "Consensus Values and
    Weighting Factors", Journal of Research of the National Bureau of Standards 87 (1982).

    Parameters
    ----------
    estimates : DataFrame of shape (n_products, 2)
        As :func:`estimate` returns it; NaN gets the mean.

    Returns
    -------
    Elasticities
    """
    value, se = estimates["elasticity"].to_numpy(), estimates["se"].to_numpy()
    usable = np.isfinite(value) & (se > 0)
    if not usable.any():
        raise ValueError("no product has an estimate with a standard error")
    between = _paule_mandel(value[usable], se[usable] ** 2)
    weight = np.where(usable, 1 / (between + np.where(usable, se, 1) ** 2), 0)
    mean = float(weight @ np.where(usable, value, 0) / weight.sum())
    mean_var = 1 / weight.sum()
    kept = between * weight  # the share of a product's own estimate
    posterior = mean + kept * np.where(usable, value - mean, 0)
    # The mean is uncertain as well, in the part that is taken from it.
    variance = between * (1 - kept) + (1 - kept) ** 2 * mean_var
    return Elasticities(
        products=estimates.index.to_numpy(),
        posterior=posterior,
        posterior_sd=np.sqrt(variance),
        mean=mean,
        mean_se=float(np.sqrt(mean_var)),
        between=float(np.sqrt(between)),
    )


def _paule_mandel(value: np.ndarray, variance: np.ndarray) -> float:
    """The variance between products at which the weighted squares are what chance expects."""
    from scipy.optimize import brentq

    def excess(between: float) -> float:
        weight = 1 / (between + variance)
        mean = weight @ value / weight.sum()
        return float(weight @ (value - mean) ** 2 - (len(value) - 1))

    if len(value) < 2 or excess(0.0) <= 0:
        return 0.0
    most = float(np.var(value) * len(value) + 1)
    return float(brentq(excess, 0.0, most))
