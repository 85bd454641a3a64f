"""Features of a card transaction, from what was known when it was made.

They follow Le Borgne et al., *Reproducible Machine Learning for Credit Card Fraud Detection -
Practical Handbook* (2022), chapter 3, "Baseline feature transformation", with the ratios of the
amount to the card's mean amount added.
"""

from datetime import timedelta

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.window import Window

KEYS = (
    "transaction_id",
    "at",
    "card_id",
    "is_fraud",
    "terminal_region",
    "customer_age_band",
)
SPANS = (1, 7, 30)
LABEL_DELAY = timedelta(days=7)
HISTORY = LABEL_DELAY + timedelta(days=max(SPANS))
NUMERIC = (
    "amount",
    "is_weekend",
    "is_night",
    *(f"card_count_{days}d" for days in SPANS),
    *(f"card_mean_amount_{days}d" for days in SPANS),
    *(f"amount_to_card_mean_{days}d" for days in SPANS),
    *(f"terminal_count_{days}d" for days in SPANS),
    *(f"terminal_risk_{days}d" for days in SPANS),
)

_NIGHT_END_HOUR = 7
_SATURDAY = 5
_MICROSECOND = timedelta(microseconds=1)


def build(raw: pd.DataFrame, *, window: Window, history: pd.DataFrame) -> pd.DataFrame:
    """One row of features for each transaction of the window.

    Parameters
    ----------
    raw : DataFrame of shape (n_transactions, 8)
        The window's rows, as ``source.transactions`` returns them.
    window : Window
        Bounded. Rows of ``history`` at or after its start are not read.
    history : DataFrame of shape (n_earlier, 8)
        Raw rows of the preceding windows; may be empty. The longest feature looks back
        ``HISTORY`` (37 days): with less, counts are low and risks rest on fewer transactions.

    Returns
    -------
    DataFrame of shape (n_transactions, 24), in the order of ``raw``
        ``KEYS``, then ``NUMERIC``: the amount; is_weekend and is_night (0 to 7 h UTC); the card's
        number of transactions and mean amount in the last 1, 7 and 30 days up to and with this
        one; the amount over each mean; the terminal's number of transactions, and the share of
        them that were fraud, in the 1, 7 and 30 days that ended 7 days ago, because a label is
        known only 7 days after its transaction. The share of no transactions is 0.
    """
    known = _known(raw, window, history)
    frame = raw[[*KEYS, "amount"]].reset_index(drop=True)
    frame["is_weekend"] = (frame["at"].dt.dayofweek >= _SATURDAY).astype(np.int64)
    frame["is_night"] = (frame["at"].dt.hour < _NIGHT_END_HOUR).astype(np.int64)
    _add_card_features(frame, known, raw)
    _add_terminal_features(frame, known, raw)
    return frame[[*KEYS, *NUMERIC]]


def _known(raw: pd.DataFrame, window: Window, history: pd.DataFrame) -> pd.DataFrame:
    if history.empty:
        return raw
    start, _ = window.bounds
    in_reach = (history["at"] >= start - HISTORY) & (history["at"] < start)
    return pd.concat([history[in_reach], raw], ignore_index=True)


def _add_card_features(frame: pd.DataFrame, known: pd.DataFrame, raw: pd.DataFrame) -> None:
    # Whole cents add up exactly, so that other cards' rows cannot change a mean by rounding.
    cents = np.rint(known["amount"].to_numpy() * 100).astype(np.int64)
    rolling = _Rolling(known["card_id"], known["at"], cents)
    for days in SPANS:
        count, total = rolling.at(raw["card_id"], raw["at"], timedelta(days=days))
        mean = total / count / 100
        frame[f"card_count_{days}d"] = count
        frame[f"card_mean_amount_{days}d"] = mean
        frame[f"amount_to_card_mean_{days}d"] = frame["amount"] / mean


def _add_terminal_features(frame: pd.DataFrame, known: pd.DataFrame, raw: pd.DataFrame) -> None:
    rolling = _Rolling(known["terminal_id"], known["at"], known["is_fraud"].to_numpy())
    for days in SPANS:
        span = timedelta(days=days)
        count, frauds = rolling.at(raw["terminal_id"], raw["at"] - LABEL_DELAY, span)
        frame[f"terminal_count_{days}d"] = count
        frame[f"terminal_risk_{days}d"] = frauds / np.maximum(count, 1)


class _Rolling:
    """Counts and sums by group over a span of time, by two binary searches a row.

    Each row's group and time make one integer, so that all groups lie sorted in one array.

    Parameters
    ----------
    groups : Series of shape (n,)
    times : Series of shape (n,), aware
    values : ndarray of shape (n,), int64
    """

    def __init__(self, groups: pd.Series, times: pd.Series, values: np.ndarray) -> None:
        codes, names = pd.factorize(groups)
        self._names = pd.Index(names)
        micros = _micros(times)
        # A group's earliest query, a whole HISTORY back, must not reach the group before it.
        first, last = (micros.min(), micros.max()) if micros.size else (0, 0)
        self._origin = first - HISTORY // _MICROSECOND
        self._width = last - self._origin + 1
        keys = codes * self._width + (micros - self._origin)
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._sums = np.concatenate([[0], np.cumsum(values[order])])

    def at(
        self, groups: pd.Series, times: pd.Series, span: timedelta
    ) -> tuple[np.ndarray, np.ndarray]:
        """Count and sum in ``(time - span, time]`` of each query's group, both of shape (m,)."""
        base = self._names.get_indexer(groups) * self._width - self._origin
        upper = base + _micros(times)
        stop = np.searchsorted(self._keys, upper, side="right")
        start = np.searchsorted(self._keys, upper - span // _MICROSECOND, side="right")
        return stop - start, self._sums[stop] - self._sums[start]


def _micros(times: pd.Series) -> np.ndarray:
    return times.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
