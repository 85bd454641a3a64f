"""Motor third party liability policies, simulated: the raw data of the motor claims example.

The simulator is written on published margins of the French portfolio ``freMTPL2`` (CASdatasets;
A. Noll, R. Salzmann and M. V. Wuthrich, "Case Study: French Motor Third-Party Liability Claims",
2018), and holds none of its rows: claims a year of exposure by driver's age, bonus-malus and area,
lengths of exposure, and the mixture of claim amounts. What no margin tells is ours: that young
drivers of strong cars are worse than either makes them, and a yearly trend.

Each day has random streams of its own, keyed by ``(seed, purpose, day)``, so that a day has the
same policies in whichever window it is asked for. (NumPy may change a distribution's stream
between versions: the same rows need the same NumPy.)
"""

import os
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.window import Window

AREAS = ("A", "B", "C", "D", "E", "F")
REGIONS = ("centre", "coast", "east", "mountains", "north", "south")
FUELS = ("diesel", "petrol")
BRANDS = ("B1", "B2", "B3", "B5", "B12")
RENTED_BRAND = "B12"

TREND = 0.10
TREND_BASE = date(2024, 1, 1)

_AREA_SHARES = (0.15, 0.11, 0.28, 0.22, 0.20, 0.04)
_AREA_EFFECTS = np.log([0.080, 0.089, 0.097, 0.110, 0.124, 0.139])
_REGION_EFFECTS = np.log([0.93, 1.08, 0.95, 0.90, 1.03, 1.12])
_BRAND_EFFECTS = np.log([1.0, 1.0, 1.05, 1.1, 0.85])
_FIXED_AMOUNTS, _FIXED_SHARE = np.array([1128.0, 1172.0, 1204.0]), 0.40
_LARGE_FROM, _LARGE_SHARE, _LARGE_TAIL, _LARGE_MOST = 10_000.0, 0.018, 1.1, 4e6
_LOG_AMOUNT, _LOG_AMOUNT_SD = 6.85, 1.13
_YEAR = 365.25
_DAY_MICROS = 86_400_000_000
_IDS_A_DAY = 1_000_000


class _Purpose(IntEnum):
    POLICIES = 0
    CLAIMS = 1
    AMOUNTS = 2


@dataclass(frozen=True)
class Shift:
    """A change in the world that a model trained before it has not seen.

    Parameters
    ----------
    young_share : float
        Share of new policies whose driver becomes 18 to 25 years old.
    young_factor : float
        Their claims a year are multiplied by it.
    """

    young_share: float
    young_factor: float


SHIFTS = {"young_drivers": Shift(young_share=0.25, young_factor=1.4)}


def policies(
    window: Window,
    *,
    per_day: int = 600,
    seed: int = 0,
    shift_from: date | str | None = None,
    shift: str = "young_drivers",
) -> pd.DataFrame:
    """The policies that begin in a window, with what was claimed on them.

    Parameters
    ----------
    window : Window
        Bounded; its end is exclusive.
    per_day : int
        Policies that begin each day.
    seed : int, non-negative
    shift_from : date or str (YYYY-MM-DD), optional
        First day of the shift; None for a world that only follows its trend.
    shift : str
        Name of the shift, a key of ``SHIFTS``. ``young_drivers``: many more of them sign, as from
        a new sales channel, and they claim more often than those of the same age before.

    Returns
    -------
    DataFrame of shape (n_policies, 14), ordered by time
        policy_id (str), at (datetime64[us, UTC], when the cover began), exposure (float, years,
        0 to 1), driver_age, vehicle_age (int64, years), vehicle_power (int64, 4 to 15),
        bonus_malus (int64, percent of the base premium, 50 to 230), density (int64, inhabitants
        per square kilometre), area, region, brand, fuel (str), claims (int64, within the
        exposure), claim_amount (float, their sum in currency units).

    Examples
    --------
    >>> from mlops_assets.lifecycle.window import WindowGrid
    >>> month = WindowGrid("monthly", date(2025, 1, 1)).window("2025-01-01")
    >>> len(policies(month, per_day=10))
    310
    """
    if shift not in SHIFTS:
        raise ValueError(f"unknown shift {shift!r}; known: {', '.join(SHIFTS)}")
    if window.start is None or window.end is None:
        raise ValueError(f"window {window.key!r} has no bounds: policies come by the day")
    if not 1 <= per_day < _IDS_A_DAY:
        raise ValueError(f"per_day={per_day} must be 1 to {_IDS_A_DAY - 1}")
    since = _ordinal(shift_from)
    days = [
        _day(day, per_day, seed, SHIFTS[shift] if since is not None and day >= since else None)
        for day in _days(window)
    ]
    frame = pd.concat(days, ignore_index=True)
    inside = (frame["at"] >= window.start) & (frame["at"] < window.end)
    return frame[inside].reset_index(drop=True)


def stream(window: Window) -> pd.DataFrame:
    """The policies of the shipped model: :func:`policies`, with a switch for the shift.

    The environment variable ``MLOPS_MOTOR_CLAIMS_SHIFT_FROM`` (YYYY-MM-DD) switches the shift on,
    so that drift can be tried on a running platform without editing a declaration.
    """
    return policies(window, shift_from=os.environ.get("MLOPS_MOTOR_CLAIMS_SHIFT_FROM"))


def frequency(rows: pd.DataFrame, shift: Shift | None = None) -> np.ndarray:
    """The true claims a year of exposure at ``TREND_BASE``, what a model tries to find.

    Parameters
    ----------
    rows : DataFrame of shape (n, >= 9)
        With the columns that :func:`policies` describes.

    Returns
    -------
    ndarray of shape (n,)
    """
    age = rows["driver_age"].to_numpy()
    power = rows["vehicle_power"].to_numpy()
    old_car = np.clip(rows["vehicle_age"].to_numpy(), 0, 20)
    malus = rows["bonus_malus"].to_numpy()
    young = np.clip((27 - age) / 9, 0, None)
    area = _codes(rows["area"], AREAS)
    diesel = (rows["fuel"] == "diesel").to_numpy()
    log_rate = (
        -0.287
        + 0.36 * young**1.5
        + 0.10 * np.exp(-(((age - 48) / 8) ** 2))
        + _bonus_malus_effect(malus)
        + _AREA_EFFECTS[area]
        + _REGION_EFFECTS[_codes(rows["region"], REGIONS)]
        + _BRAND_EFFECTS[_codes(rows["brand"], BRANDS)]
        + 0.012 * (power - 6)
        - 0.012 * old_car
        # Rented cars are new and of one brand, and diesels are driven most where it is dense.
        + 1.2 * ((rows["brand"] == RENTED_BRAND) & (old_car <= 1)).to_numpy()
        + np.where(diesel, 0.18, -0.18) * (area - 2)
        + 0.25 * young * np.clip(power - 6, 0, 4) / 4
        + 0.6 * ((malus > 52) & (age >= 52))
    )
    rate = np.exp(log_rate)
    return np.where(age <= 25, rate * shift.young_factor, rate) if shift else rate


def _bonus_malus_effect(bonus_malus: np.ndarray) -> np.ndarray:
    return 0.015 * (np.minimum(bonus_malus, 100) - 50) + 0.034 * np.clip(bonus_malus - 100, 0, 60)


def _day(day: int, count: int, seed: int, shift: Shift | None) -> pd.DataFrame:
    rows = _signed(_stream(seed, _Purpose.POLICIES, day), count, shift)
    rng = _stream(seed, _Purpose.CLAIMS, day)
    trend = (1 + TREND) ** ((day - TREND_BASE.toordinal()) / _YEAR)
    rows["claims"] = rng.poisson(frequency(rows, shift) * trend * rows["exposure"])
    rows["claim_amount"] = _amounts(rows["claims"].to_numpy(), _stream(seed, _Purpose.AMOUNTS, day))
    since_epoch = (day - date(1970, 1, 1).toordinal()) * _DAY_MICROS
    seconds = np.sort(rng.integers(0, _DAY_MICROS, count)) + since_epoch
    rows.insert(0, "policy_id", [f"p{day}{i:06d}" for i in range(count)])
    rows.insert(1, "at", pd.Series(seconds.view("datetime64[us]")).dt.tz_localize("UTC"))
    return rows


def _signed(rng: np.random.Generator, count: int, shift: Shift | None) -> pd.DataFrame:
    age = np.minimum(18 + rng.gamma(3.2, 8.5, count), 95).astype(np.int64)
    turned, young = rng.random(count), rng.integers(18, 26, count)
    if shift is not None:
        age = np.where(turned < shift.young_share, young, age)
    area = rng.choice(len(AREAS), count, p=_AREA_SHARES)
    frame = {
        "exposure": _exposure(rng, count),
        "driver_age": age,
        "vehicle_age": np.minimum(rng.gamma(1.5, 4.7, count), 40).astype(np.int64),
        "vehicle_power": np.minimum(4 + rng.gamma(1.6, 1.5, count), 15).astype(np.int64),
        "bonus_malus": _bonus_malus(rng, age),
        "density": np.exp(np.log(30) + 1.15 * area + rng.normal(0, 0.45, count)).astype(np.int64),
        "area": np.array(AREAS, dtype=object)[area],
        "region": np.array(REGIONS, dtype=object)[rng.integers(0, len(REGIONS), count)],
        "brand": np.array(BRANDS, dtype=object)[rng.integers(0, len(BRANDS), count)],
        "fuel": np.array(FUELS, dtype=object)[rng.integers(0, len(FUELS), count)],
    }
    return pd.DataFrame(frame)


def _exposure(rng: np.random.Generator, count: int) -> np.ndarray:
    """Years of cover: a quarter of the policies stay the whole year, in whole days."""
    left = rng.beta(0.75, 1.2, count)
    days = np.clip(np.ceil(left * 365), 1, 364)
    return np.where(rng.random(count) < 0.25, 1.0, days / 365)


def _bonus_malus(rng: np.random.Generator, age: np.ndarray) -> np.ndarray:
    """The French scale: 100 at first, 5 % off a year without claims, a quarter more for one."""
    years = np.clip(age - 18 - rng.gamma(1.2, 5.0, age.size), 0, None).astype(np.int64)
    recent = rng.poisson(0.12, age.size) * (rng.random(age.size) < 0.5)
    level = 100 * 0.95 ** np.clip(years - 2 * recent, 0, None) * 1.25**recent
    return np.clip(np.round(level), 50, 230).astype(np.int64)


def _amounts(claims: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sum of each policy's claims: fixed by convention, large, or lognormal."""
    total = int(claims.sum())
    kind, tail = rng.random(total), rng.random(total)
    amount = np.minimum(np.exp(rng.normal(_LOG_AMOUNT, _LOG_AMOUNT_SD, total)), _LARGE_FROM)
    large = np.minimum(_LARGE_FROM * (1 - tail) ** (-1 / _LARGE_TAIL), _LARGE_MOST)
    amount = np.where(kind < _LARGE_SHARE, large, amount)
    fixed = _FIXED_AMOUNTS[rng.integers(0, len(_FIXED_AMOUNTS), total)]
    amount = np.where(kind > 1 - _FIXED_SHARE, fixed, amount)
    policy = np.repeat(np.arange(claims.size), claims)
    return np.round(np.bincount(policy, amount, claims.size), 2)


def _codes(values: pd.Series, known: tuple[str, ...]) -> np.ndarray:
    return pd.Index(known).get_indexer(values)


def _stream(seed: int, purpose: _Purpose, day: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, day))))


def _days(window: Window) -> range:
    start, end = window.bounds
    return range(start.toordinal(), (end - timedelta(microseconds=1)).toordinal() + 1)


def _ordinal(day: date | str | None) -> int | None:
    if day is None:
        return None
    return (date.fromisoformat(day) if isinstance(day, str) else day).toordinal()
