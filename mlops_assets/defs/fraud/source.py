"""Card transactions, simulated: the raw data of the fraud example.

Written from the published description of a simulator, not from its code: Y.-A. Le Borgne,
W. Siblini, B. Lebichot and G. Bontempi, *Reproducible Machine Learning for Credit Card Fraud
Detection - Practical Handbook* (2022), chapter 3, "Simulation". With 5,000 customers, 10,000
terminals and 183 days from ``first_day`` it meets the published totals: about 1.75 million
transactions, 0.84 % of them fraud.

Each day has random streams of its own, keyed by ``(seed, purpose, day)``, and what was
compromised earlier is found by drawing the last 28 days again. So a day has the same rows in
whichever window it is asked for. (NumPy may change a distribution's stream between versions:
the same rows need the same NumPy.)
"""

import os
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from functools import lru_cache

import numpy as np
import pandas as pd

from mlops_assets.defs.fraud.world import (
    AGE_BANDS,
    REGIONS,
    World,
    far_terminals,
    populate,
    regions,
)
from mlops_assets.lifecycle.window import Window

__all__ = ["AGE_BANDS", "REGIONS", "SHIFTS", "Shift", "stream", "transactions"]

_DAY = 86_400
_NIGHT_END = 7 * 3_600
_IDS_A_DAY = 10_000_000

_FRAUD_AMOUNT = 220.0
_TERMINALS_A_DAY, _TERMINAL_DAYS = 2 / 10_000, 28
_CARDS_A_DAY, _CARD_DAYS, _CARD_SHARE, _CARD_FACTOR = 3 / 5_000, 14, 1 / 3, 5.0
_TESTED_DAYS = 7


class _Purpose(IntEnum):
    POPULATION = 0
    SPENDING = 1
    TERMINALS_COMPROMISED = 2
    CARDS_STOLEN = 3
    STOLEN_SPENDING = 4
    SHIFT = 5
    CARDS_TESTED = 6
    TEST_BURSTS = 7


@dataclass(frozen=True)
class Shift:
    """A change in the world that a model trained before it has not seen.

    Parameters
    ----------
    amount_factor : float
        Every amount is multiplied by it, and so is the amount above which scenario 1 sees fraud:
        what was a sure sign of fraud becomes an ordinary purchase.
    night_share : float
        Share of transactions that move to the night (0 to 7 h UTC).
    cards_a_day : float
        Cards that card testers begin to use each day, as a share of all customers.
    """

    amount_factor: float
    night_share: float
    cards_a_day: float


SHIFTS = {"contactless": Shift(amount_factor=1.5, night_share=0.15, cards_a_day=2 / 5_000)}


def transactions(
    window: Window,
    *,
    customers: int = 2_000,
    terminals: int = 4_000,
    seed: int = 0,
    shift_from: date | str | None = None,
    shift: str = "contactless",
    first_day: date | str | None = None,
) -> pd.DataFrame:
    """The card transactions of a window.

    Three kinds of fraud, as published: every amount above 220; every transaction of a compromised
    terminal, for 28 days; a third of the transactions of a stolen card, at five times the amount,
    for 14 days. A day compromises 2 in 10,000 terminals and 3 in 5,000 cards. For smaller
    populations that is less than one a day: the day's stream decides whether it is the next lower
    or next higher whole number, so that the fraud rate does not depend on the size.

    Parameters
    ----------
    window : Window
        Bounded; its end is exclusive.
    customers, terminals : int
        Size of the population. Customers make 1.94 transactions a day on average.
    seed : int, non-negative
    shift_from : date or str (YYYY-MM-DD), optional
        First day of the shift; None for a world that does not change.
    shift : str
        Name of the shift, a key of ``SHIFTS``. ``contactless`` makes purchases larger and later,
        and brings a new fraud, card testing: a tested card has, each night for 7 days, a burst of
        3 to 8 transactions of 1 to 8 each at terminals far from its owner.
    first_day : date or str (YYYY-MM-DD), optional
        Nothing is compromised before it, as in the published data. None for a steady state.

    Returns
    -------
    DataFrame of shape (n_transactions, 8), ordered by time
        transaction_id (int64), at (datetime64[us, UTC]), card_id, terminal_id (str), amount
        (float, two decimals, currency units), is_fraud (int64, 0 or 1), terminal_region,
        customer_age_band (str).

    Examples
    --------
    >>> from datetime import date
    >>> from mlops_assets.lifecycle.window import WindowGrid
    >>> week = WindowGrid("weekly", date(2026, 1, 5)).window("2026-01-05")
    >>> frame = transactions(week, customers=100, terminals=200)
    >>> frame["at"].min() >= week.start, frame["at"].max() < week.end
    (True, True)
    """
    if shift not in SHIFTS:
        raise ValueError(f"unknown shift {shift!r}; known: {', '.join(SHIFTS)}")
    if window.start is None or window.end is None:
        raise ValueError(f"window {window.key!r} has no bounds: transactions come by the day")
    if customers < 1 or terminals < 1:
        raise ValueError(f"customers={customers} and terminals={terminals} must be 1 or more")
    world = _world(customers, terminals, seed)
    plan = _Plan(seed, SHIFTS[shift], _ordinal(shift_from), _ordinal(first_day))
    days = [_day(world, plan, day) for day in _days(window)]
    return _raw_frame(world, pd.concat(days, ignore_index=True), window)


def stream(window: Window) -> pd.DataFrame:
    """The transactions of the shipped model: :func:`transactions`, with a switch for the shift.

    The environment variable ``MLOPS_FRAUD_SHIFT_FROM`` (YYYY-MM-DD) switches the shift on, so that
    drift can be tried on a running platform without editing a declaration.
    """
    return transactions(window, shift_from=os.environ.get("MLOPS_FRAUD_SHIFT_FROM"))


@dataclass(frozen=True)
class _Plan:
    """What happens when; days are proleptic Gregorian ordinals."""

    seed: int
    shift: Shift
    shift_from: int | None
    first_day: int | None

    def stream(self, purpose: _Purpose, day: int) -> np.random.Generator:
        return _stream(self.seed, purpose, day)

    def shifted(self, day: int) -> bool:
        return self.shift_from is not None and day >= self.shift_from

    def chosen(
        self,
        purpose: _Purpose,
        day: int,
        length: int,
        population: int,
        share: float,
        since: int | None,
    ) -> np.ndarray:
        """Members drawn on ``day`` or in the ``length - 1`` days before, none before ``since``.

        Returns
        -------
        ndarray of shape (population,), bool
        """
        mask = np.zeros(population, dtype=bool)
        begin = day - length + 1
        for drawn_on in range(begin if since is None else max(begin, since), day + 1):
            rng = self.stream(purpose, drawn_on)
            size = int(population * share + rng.random())
            mask[rng.choice(population, size, replace=False)] = True
        return mask


def _stream(seed: int, purpose: _Purpose, day: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, day))))


@lru_cache(maxsize=4)
def _world(customers: int, terminals: int, seed: int) -> World:
    return populate(customers, terminals, _stream(seed, _Purpose.POPULATION))


def _day(world: World, plan: _Plan, day: int) -> pd.DataFrame:
    """One day's transactions in order of time, with the scenario (0 to 4) that made each a fraud.

    Later scenarios overwrite earlier ones, as in the published counts.
    """
    rows = _spending(world, plan, day)
    limit = _FRAUD_AMOUNT
    if plan.shifted(day):
        _move_spending(rows, plan, day)
        limit *= plan.shift.amount_factor
    rows["scenario"] = np.where(rows["amount"] > limit, 1, 0)
    _compromise_terminals(rows, world, plan, day)
    _steal_cards(rows, world, plan, day)
    if plan.shifted(day):
        rows = pd.concat([rows, _card_tests(world, plan, day)], ignore_index=True)
    rows = rows.sort_values("second", kind="stable", ignore_index=True)
    return rows.assign(day=day, transaction_id=day * _IDS_A_DAY + rows.index)


def _spending(world: World, plan: _Plan, day: int) -> pd.DataFrame:
    rng = plan.stream(_Purpose.SPENDING, day)
    customer = np.repeat(np.arange(world.customers), rng.poisson(world.rate))
    second = rng.normal(_DAY / 2, 20_000, customer.size)
    mean = world.mean_amount[customer]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    pick = (rng.random(customer.size) * world.reachable[customer]).astype(np.int64)
    terminal = world.near[world.first[customer] + pick]
    rows = pd.DataFrame(
        {"customer": customer, "terminal": terminal, "second": second, "amount": amount}
    )
    # The published simulator drops what falls outside the day (3 %), and its totals show it.
    return rows[(second > 0) & (second < _DAY)].reset_index(drop=True)


def _move_spending(rows: pd.DataFrame, plan: _Plan, day: int) -> None:
    rng = plan.stream(_Purpose.SHIFT, day)
    moved = rng.random(len(rows)) < plan.shift.night_share
    rows["second"] = np.where(moved, rng.uniform(0, _NIGHT_END, len(rows)), rows["second"])
    rows["amount"] *= plan.shift.amount_factor


def _compromise_terminals(rows: pd.DataFrame, world: World, plan: _Plan, day: int) -> None:
    compromised = plan.chosen(
        _Purpose.TERMINALS_COMPROMISED,
        day,
        _TERMINAL_DAYS,
        world.terminals,
        _TERMINALS_A_DAY,
        plan.first_day,
    )
    rows.loc[compromised[rows["terminal"]], "scenario"] = 2


def _steal_cards(rows: pd.DataFrame, world: World, plan: _Plan, day: int) -> None:
    stolen = plan.chosen(
        _Purpose.CARDS_STOLEN, day, _CARD_DAYS, world.customers, _CARDS_A_DAY, plan.first_day
    )
    chance = plan.stream(_Purpose.STOLEN_SPENDING, day).random(len(rows))
    hit = stolen[rows["customer"]] & (chance < _CARD_SHARE)
    rows.loc[hit, "scenario"] = 3
    rows.loc[hit, "amount"] *= _CARD_FACTOR


def _card_tests(world: World, plan: _Plan, day: int) -> pd.DataFrame:
    """The night's bursts of small amounts, far from each tested card's owner."""
    tested = plan.chosen(
        _Purpose.CARDS_TESTED,
        day,
        _TESTED_DAYS,
        world.customers,
        plan.shift.cards_a_day,
        plan.shift_from,
    )
    rng = plan.stream(_Purpose.TEST_BURSTS, day)
    cards = np.flatnonzero(tested)
    burst = np.repeat(np.arange(cards.size), rng.integers(3, 9, cards.size))
    begin = rng.uniform(0, _NIGHT_END - 3_600, cards.size)
    customer = cards[burst]
    return pd.DataFrame(
        {
            "customer": customer,
            "terminal": far_terminals(world, customer, rng),
            "second": begin[burst] + rng.uniform(0, 3_600, burst.size),
            "amount": rng.uniform(1, 8, burst.size),
            "scenario": 4,
        }
    )


def _raw_frame(world: World, rows: pd.DataFrame, window: Window) -> pd.DataFrame:
    since_epoch = (rows["day"] - date(1970, 1, 1).toordinal()) * _DAY
    micros = since_epoch * 1_000_000 + (rows["second"] * 1e6).astype(np.int64)
    card_ids = np.array([f"c{i:05d}" for i in range(world.customers)], dtype=object)
    terminal_ids = np.array([f"t{i:05d}" for i in range(world.terminals)], dtype=object)
    frame = pd.DataFrame(
        {
            "transaction_id": rows["transaction_id"],
            "at": pd.Series(micros.to_numpy().view("datetime64[us]")).dt.tz_localize("UTC"),
            "card_id": card_ids[rows["customer"]],
            "terminal_id": terminal_ids[rows["terminal"]],
            # A cent at least, so that a card's mean amount is never zero.
            "amount": rows["amount"].round(2).clip(lower=0.01),
            "is_fraud": (rows["scenario"] > 0).astype(np.int64),
            "terminal_region": regions(world.terminal_xy)[rows["terminal"]],
            "customer_age_band": world.age_band[rows["customer"]],
        }
    )
    inside = (frame["at"] >= window.start) & (frame["at"] < window.end)
    return frame[inside].reset_index(drop=True)


def _days(window: Window) -> range:
    start, end = window.bounds
    return range(start.toordinal(), (end - timedelta(microseconds=1)).toordinal() + 1)


def _ordinal(day: date | str | None) -> int | None:
    if day is None:
        return None
    return (date.fromisoformat(day) if isinstance(day, str) else day).toordinal()
