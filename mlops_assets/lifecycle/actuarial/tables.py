"""Actuarial tables of a frequency model.

``truth`` and ``predicted`` are frequencies (claims a unit of exposure) and ``weights`` exposures,
as ``task: count_regression`` has them: claims are their product.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

BANDS = 10
LEVELS = 12
OTHER = "all others"
MISSING = "missing"


def actual_over_expected(
    truth: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray,
    groups: "np.ndarray | pd.Series",
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Claims over expected claims in each group, with exact Poisson intervals.

    The interval of a Poisson count by F. Garwood, "Fiducial limits for the Poisson distribution",
    Biometrika 28 (1936), over the expected count, which is taken as known. It assumes that claims
    are Poisson: with heterogeneity inside a group it is too short.

    Parameters
    ----------
    truth, predicted, weights : ndarray of shape (n_rows,)
    groups : array-like of shape (n_rows,)
        The group of each row; an ordered categorical keeps its order.
    alpha : float
        Of the two-sided interval.

    Returns
    -------
    DataFrame of shape (n_groups, 6)
        exposure, actual, expected, ratio, low, high, by group.
    """
    rows = pd.DataFrame(
        {"exposure": weights, "actual": truth * weights, "expected": predicted * weights}
    )
    table = rows.groupby(groups, observed=True, sort=True).sum()
    low, high = poisson_interval(table["actual"].to_numpy(), alpha)
    table["ratio"] = table["actual"] / table["expected"]
    table["low"], table["high"] = low / table["expected"], high / table["expected"]
    return table


def poisson_interval(count: np.ndarray, alpha: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """The exact two-sided interval of the mean of a Poisson count, both of the shape of it."""
    low = np.where(count > 0, chi2.ppf(alpha / 2, 2 * count) / 2, 0.0)
    return low, chi2.ppf(1 - alpha / 2, 2 * count + 2) / 2


def double_lift(
    truth: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray,
    weights: np.ndarray,
    bands: int = BANDS,
) -> pd.DataFrame:
    """Which of two models is right where they disagree.

    Rows are sorted by challenger over champion and cut into bands of equal exposure. In the outer
    bands the models disagree most, and the better one is nearer to what happened (M. Goldburd,
    A. Khare, D. Tevet and D. Guller, "Generalized Linear Models for Insurance Rating", Casualty
    Actuarial Society 2016, section 7.2).

    Parameters
    ----------
    truth, challenger, champion, weights : ndarray of shape (n_rows,)
        Predictions are positive.
    bands : int

    Returns
    -------
    DataFrame of shape (<= bands, 7)
        exposure, ratio (challenger over champion), actual, low, high (its exact 95 % Poisson
        interval), challenger, champion (frequencies), by band from 1.
    """
    ratio = challenger / champion
    order = np.argsort(ratio, kind="stable")
    reached = np.cumsum(weights[order])
    band = np.empty(len(ratio), dtype=np.int64)
    # By the middle of a row's exposure, so that one large row does not skip a band.
    middle = (reached - weights[order] / 2) / reached[-1]
    band[order] = np.minimum((middle * bands).astype(np.int64), bands - 1) + 1
    rows = pd.DataFrame(
        {
            "exposure": weights,
            "actual": truth * weights,
            "challenger": challenger * weights,
            "champion": champion * weights,
        }
    )
    sums = rows.groupby(band).sum()
    low, high = poisson_interval(sums["actual"].to_numpy())
    exposure = sums["exposure"]
    return pd.DataFrame(
        {
            "exposure": exposure,
            "ratio": sums["challenger"] / sums["champion"],
            "actual": sums["actual"] / exposure,
            "low": low / exposure,
            "high": high / exposure,
            "challenger": sums["challenger"] / exposure,
            "champion": sums["champion"] / exposure,
        }
    ).rename_axis("band")


def levels(values: pd.Series, weights: np.ndarray, most: int = LEVELS) -> pd.Series:
    """A column cut into few ordered groups.

    Parameters
    ----------
    values : Series of shape (n_rows,)
    weights : ndarray of shape (n_rows,)
    most : int
        Numbers with more values than this are cut at quantiles of the exposure; of more texts the
        largest by exposure are kept, and the others are one group.

    Returns
    -------
    Series of ordered categorical, shape (n_rows,)
        Named as ``values``; missing values are a group of their own.
    """
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > most:
        return _bands(values, weights, most)
    known = values.dropna()
    total = pd.Series(weights, index=values.index).groupby(known, observed=True).sum()
    kept = sorted(total.nlargest(most).index)
    text = values.map(str).where(values.isin(kept), OTHER).where(values.notna(), MISSING)
    order = list(dict.fromkeys([*map(str, kept), OTHER, MISSING]))
    return _ordered(text, order)


def _bands(values: pd.Series, weights: np.ndarray, most: int) -> pd.Series:
    known = values.notna().to_numpy()
    number = values.to_numpy(dtype=float, na_value=np.nan)
    order = np.argsort(number[known], kind="stable")
    reached = np.cumsum(weights[known][order])
    place = np.searchsorted(reached, reached[-1] * np.arange(1, most) / most)
    upper = np.unique(number[known][order][place])
    code = np.searchsorted(upper, number, side="left")
    lows = [f"from {number[known].min():g}", *(f"above {edge:g}" for edge in upper)]
    highs = [*(f"to {edge:g}" for edge in upper), ""]
    names = [f"{low} {high}".strip() for low, high in zip(lows, highs, strict=True)]
    text = pd.Series(np.array(names, dtype=object)[code], index=values.index, name=values.name)
    return _ordered(text.where(known, MISSING), [*names, MISSING])


def _ordered(text: pd.Series, order: list[str]) -> pd.Series:
    present = [name for name in order if (text == name).any()]
    return text.astype(pd.CategoricalDtype(present, ordered=True))


def relativities(
    predict: Any,
    asked: pd.DataFrame,
    column: str,
    truth: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray | None = None,
) -> pd.DataFrame:
    """What a level of a column multiplies the frequency by, against the level with most exposure.

    Modelled, all else equal: the ratio of partial dependences (J. Friedman, "Greedy function
    approximation", Annals of Statistics 29, 2001), which for a GLM with log link is the ratio of
    its exponentiated coefficients. Observed, one way: the ratio of frequencies, in which the levels
    differ in everything else, too.

    Parameters
    ----------
    predict : callable
        From a frame like ``asked`` to frequencies.
    asked : DataFrame of shape (n_rows, n_features)
    column : str
    truth, weights : ndarray of shape (n_rows,)
    rows : ndarray of int, optional
        Rows that the modelled ones are averaged over; None for all.

    Returns
    -------
    DataFrame of shape (n_levels, 5)
        exposure, modelled, observed, low, high (of observed, the base taken as known; exact 95 %
        Poisson), by level. A band of numbers is modelled at its median, the others at their
        value; groups of others or missing are observed only (modelled is NaN).
    """
    group = levels(asked[column], weights)
    both = pd.DataFrame({"exposure": weights, "actual": truth * weights})
    table = both.groupby(group, observed=True).sum()
    base = table["exposure"].idxmax()
    low, high = poisson_interval(table["actual"].to_numpy())
    frequency = table["actual"][base] / table["exposure"][base]
    expected = table["exposure"] * frequency
    some = np.arange(len(asked)) if rows is None else rows
    sample, sampled = asked.iloc[some], weights[some]
    mean = {
        name: _dependence(predict, sample, sampled, _representative(asked[column], group, name))
        for name in table.index
    }
    modelled = pd.Series(mean)
    return pd.DataFrame(
        {
            "exposure": table["exposure"],
            "modelled": modelled / modelled[base],
            "observed": table["actual"] / expected,
            "low": low / expected,
            "high": high / expected,
        }
    ).rename_axis(column)


def _representative(values: pd.Series, group: pd.Series, name: str) -> pd.Series | None:
    """A value of the group, alone in a series like ``values``; None for a mixed bag."""
    if name in (OTHER, MISSING):
        return None
    inside = values[(group == name).to_numpy()]
    if pd.api.types.is_numeric_dtype(values):
        # A value that occurs: a median of whole numbers need not be one.
        return inside.sort_values().iloc[[len(inside) // 2]]
    return inside.iloc[[0]]


def _dependence(
    predict: Any, asked: pd.DataFrame, weights: np.ndarray, value: pd.Series | None
) -> float:
    if value is None:
        return np.nan
    changed = asked.assign(**{str(value.name): value.iloc[0]})
    return float(np.average(predict(changed), weights=weights))
