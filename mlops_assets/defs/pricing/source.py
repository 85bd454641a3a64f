"""Weekly sales of a grocery chain, simulated: the raw data of the pricing example.

What makes price data treacherous is in it: who sets prices knows more than the data say. Prices
are cut in weeks when demand is weak, so that in the logs a low price sells less than it would, and
a model that takes the logs at their word finds demand far less elastic than it is. And what makes
such data usable is in it, too: a share of prices is drawn at random, and the draw is logged.

Prices follow published retail facts: own-price elasticities around -2.7 (T. Bijmolt, H. van Heerde
and R. Pieters, "New Empirical Generalizations on the Determinants of Price Elasticity", Journal of
Marketing Research 42, 2005, find a mean of -2.62), a price that changes in about every third week,
discounts with quartiles of 8, 16 and 21 percent.

Each week has random streams of its own, keyed by ``(seed, purpose, week)``, so that a week has the
same rows in whichever window it is asked for. (NumPy may change a distribution's stream between
versions: the same rows need the same NumPy.)
"""

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.stats import norm

from mlops_assets.lifecycle.window import Window

CATEGORIES = ("coffee", "juice", "pasta", "snacks", "yoghurt")

EXPLORED_SHARE, EXPLORED_SPAN = 0.10, 0.20
DISCOUNTED_SHARE = 0.175  # a price that differs from the week before's in 32 % of weeks
COMPETITOR_ELASTICITY = 1.5

_DISCOUNTS = ((0.0, 0.02), (0.25, 0.08), (0.5, 0.16), (0.75, 0.21), (1.0, 0.40))
_ELASTICITY, _ELASTICITY_SD, _ELASTICITY_SPAN = -2.7, 0.7, (-4.5, -0.8)
_SHOCK_SD, _KNOWN_TO_MANAGERS = 0.2, 0.9
_NOISE_SD = 0.15
_COMPETITOR_SD = 0.08
_CLOSING = time(22)


class _Purpose(IntEnum):
    ASSORTMENT = 0
    MARKET = 1
    PRICES = 2
    SALES = 3


@dataclass(frozen=True)
class Shift:
    """A change in the world that a model trained before it has not seen.

    Parameters
    ----------
    competitor_factor : float
        The competitor's prices are multiplied by it, in every category.
    """

    competitor_factor: float


SHIFTS = {"price_war": Shift(competitor_factor=0.85)}


@dataclass(frozen=True)
class Assortment:
    """What stays the same for a whole simulation; arrays of shape (n_products,) or (n_stores,)."""

    category: np.ndarray
    list_price: np.ndarray
    unit_cost: np.ndarray
    elasticity: np.ndarray
    popularity: np.ndarray
    season: np.ndarray
    store_size: np.ndarray


def sales(
    window: Window,
    *,
    products: int = 80,
    stores: int = 12,
    seed: int = 0,
    shift_from: date | str | None = None,
    shift: str = "price_war",
) -> pd.DataFrame:
    """What each store sold of each product in the weeks that close in a window.

    Parameters
    ----------
    window : Window
        Bounded; its end is exclusive. Weeks close on Sunday, 22 h UTC.
    products, stores : int
    seed : int, non-negative
    shift_from : date or str (YYYY-MM-DD), optional
        First day of the shift; None for a world that only has seasons.
    shift : str
        Name of the shift, a key of ``SHIFTS``. ``price_war``: the competitor sells 15 % cheaper.

    Returns
    -------
    DataFrame of shape (n_weeks * n_products * n_stores, 12), by week, product and store
        at (datetime64[us, UTC], when the week closed), product_id, store_id, category (str),
        list_price, unit_cost, competitor_price (float, currency units; of the nearest rival),
        planned_discount (float, share off the list price that the category manager set), explored
        (int64, 1 where the price was drawn at random instead), price (float, what was asked),
        week_of_year, units (int64).

    Notes
    -----
    A tenth of the prices, of single stores in single weeks, is drawn evenly from 20 % below to 20 %
    above the list price, whatever was planned. The others are as planned, in all stores.
    """
    if shift not in SHIFTS:
        raise ValueError(f"unknown shift {shift!r}; known: {', '.join(SHIFTS)}")
    if window.start is None or window.end is None:
        raise ValueError(f"window {window.key!r} has no bounds: sales come by the week")
    if products < 1 or stores < 1:
        raise ValueError(f"products={products} and stores={stores} must be 1 or more")
    world = assortment(products, stores, seed)
    since = _day(shift_from)
    weeks = [
        _week(world, monday, seed, SHIFTS[shift] if since is not None and monday >= since else None)
        for monday in _mondays(window)
    ]
    if not weeks:
        raise ValueError(f"window {window} closes no week")
    return pd.concat(weeks, ignore_index=True)


def stream(window: Window) -> pd.DataFrame:
    """The sales of the shipped model: :func:`sales`, with a switch for the shift.

    The environment variable ``MLOPS_PRICING_SHIFT_FROM`` (YYYY-MM-DD) switches the shift on, so
    that drift can be tried on a running platform without editing a declaration.
    """
    return sales(window, shift_from=os.environ.get("MLOPS_PRICING_SHIFT_FROM"))


@lru_cache(maxsize=4)
def assortment(products: int = 80, stores: int = 12, seed: int = 0) -> Assortment:
    """The products and stores of :func:`sales`, with the true elasticities."""
    rng = _stream(seed, _Purpose.ASSORTMENT)
    list_price = np.round(rng.lognormal(1.2, 0.5, products), 1) + 0.99
    return Assortment(
        category=np.array(CATEGORIES, dtype=object)[np.arange(products) % len(CATEGORIES)],
        list_price=list_price,
        unit_cost=np.round(list_price * rng.uniform(0.50, 0.75, products), 2),
        elasticity=np.clip(rng.normal(_ELASTICITY, _ELASTICITY_SD, products), *_ELASTICITY_SPAN),
        popularity=rng.normal(3.1, 0.4, products),
        season=rng.uniform(0, 2 * np.pi, products),
        store_size=rng.normal(0, 0.3, stores),
    )


def _week(world: Assortment, monday: date, seed: int, shift: Shift | None) -> pd.DataFrame:
    week = monday.toordinal()
    products, stores = len(world.list_price), len(world.store_size)
    rng = _stream(seed, _Purpose.MARKET, week)
    shock = rng.normal(0, 1, products)
    rival = np.exp(rng.normal(0, _COMPETITOR_SD, (products, stores)))
    rival *= shift.competitor_factor if shift else 1.0
    competitor = np.round(world.list_price[:, None] * rival, 2)
    rng = _stream(seed, _Purpose.PRICES, week)
    discount = _planned(rng, shock)
    explored = rng.random((products, stores)) < EXPLORED_SHARE
    drawn = rng.uniform(-EXPLORED_SPAN, EXPLORED_SPAN, (products, stores))
    ratio = 1 + np.where(explored, drawn, -discount[:, None])
    price = np.round(world.list_price[:, None] * ratio, 2)
    rng = _stream(seed, _Purpose.SALES, week)
    log_mean = (
        (world.popularity + _SHOCK_SD * shock + _season(world, monday))[:, None]
        + world.store_size
        + world.elasticity[:, None] * np.log(price / world.list_price[:, None])
        + COMPETITOR_ELASTICITY * np.log(competitor / world.list_price[:, None])
        + rng.normal(0, _NOISE_SD, (products, stores))
    )
    by_product = np.repeat(np.arange(products), stores)
    return pd.DataFrame(
        {
            "at": pd.Timestamp(_closing(monday)).as_unit("us"),
            "product_id": _ids("p", products)[by_product],
            "store_id": np.tile(_ids("s", stores), products),
            "category": world.category[by_product],
            "list_price": world.list_price[by_product],
            "unit_cost": world.unit_cost[by_product],
            "competitor_price": competitor.ravel(),
            "planned_discount": discount[by_product],
            "explored": explored.ravel().astype(np.int64),
            "price": price.ravel(),
            "week_of_year": monday.isocalendar().week,
            "units": rng.poisson(np.exp(log_mean)).ravel(),
        }
    )


def _planned(rng: np.random.Generator, shock: np.ndarray) -> np.ndarray:
    """The discount of each product; weak demand, which managers see coming, makes it deeper."""
    blind = rng.normal(0, 1, shock.size)
    seen = _KNOWN_TO_MANAGERS * shock + np.sqrt(1 - _KNOWN_TO_MANAGERS**2) * blind
    strength = norm.cdf(seen)
    depth = 1 - strength / DISCOUNTED_SHARE  # even between 0 and 1 among the discounted
    share, off = np.array(_DISCOUNTS).T
    discount = np.round(np.interp(depth, share, off), 2)
    return np.where(strength < DISCOUNTED_SHARE, discount, 0.0)


def _season(world: Assortment, monday: date) -> np.ndarray:
    turn = 2 * np.pi * monday.timetuple().tm_yday / 365.25
    return 0.25 * np.sin(turn - world.season)


def _ids(letter: str, count: int) -> np.ndarray:
    return np.array([f"{letter}{i:03d}" for i in range(count)], dtype=object)


def _stream(seed: int, purpose: _Purpose, week: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, week))))


def _mondays(window: Window) -> list[date]:
    """The Mondays of the weeks that close in the window."""
    start, end = window.bounds
    monday = start.date() - timedelta(days=7 + start.weekday())
    found = []
    while _closing(monday) < end:
        if _closing(monday) >= start:
            found.append(monday)
        monday += timedelta(days=7)
    return found


def _closing(monday: date) -> datetime:
    return datetime.combine(monday + timedelta(days=6), _CLOSING, tzinfo=UTC)


def _day(day: date | str | None) -> date | None:
    return date.fromisoformat(day) if isinstance(day, str) else day
