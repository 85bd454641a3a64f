"""Records of the prediction log as columns."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from mlops_assets.lifecycle.prediction_log import Record
from mlops_assets.lifecycle.prediction_log.batch import request_id


@dataclass(frozen=True)
class Rows:
    """Who asked, when, in which period; columns of shape (n_records,), in order of time.

    ``period`` is -1 before the first one and -2 in a gap or after the last; ``slice`` counts from
    the period's start; ``key`` is one number for a unit on its side in one window.
    """

    at: np.ndarray
    arm: np.ndarray
    period: np.ndarray
    slice: np.ndarray
    unit: np.ndarray
    key: np.ndarray

    @classmethod
    def of(
        cls,
        records: list[Record],
        arm: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        slice_: timedelta,
        window: timedelta,
    ) -> "Rows":
        """Columns from records.

        Parameters
        ----------
        records : list of Record
        arm : ndarray of shape (n_records,)
        starts, ends : ndarray of shape (n_periods,)
            Seconds of the epoch.
        slice_, window : timedelta
        """
        at = np.array([r.logged_at.timestamp() for r in records])
        period = np.searchsorted(starts, at, side="right") - 1
        period = np.where((period >= 0) & (at >= ends[period]), -2, period)
        since = at - starts[np.maximum(period, 0)]
        # A request that did not say which unit it is of counts as one of its own.
        unit = np.array(
            [hash(request_id(r.prediction_id) if r.unit is None else (r.unit,)) for r in records]
        )
        windows = (since // window.total_seconds()).astype(np.int64)
        key = _mixed(_mixed(unit, windows), period * 2 + arm)
        slices = (since // slice_.total_seconds()).astype(int)
        return cls(at, arm, period, slices, unit, key)

    def take(self, places: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(*(column[places] for column in vars(self).values()))

    def until_first(
        self, counted: np.ndarray, bad: np.ndarray, spent: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The counted rows up to the first bad one of their key.

        Parameters
        ----------
        counted, bad : ndarray of bool of shape (n_records,)
        spent : ndarray of shape (n_spent,)
            Keys that had a bad one earlier.

        Returns
        -------
        at_risk : ndarray of bool of shape (n_records,)
        spent : ndarray
            With the keys that had one now.
        """
        keys, place = np.unique(self.key, return_inverse=True)
        first = np.where(np.isin(keys, spent), -1, len(place))
        found = np.flatnonzero(counted & bad)
        np.minimum.at(first, place[found], found)
        at_risk = counted & (np.arange(len(place)) <= first[place])
        return at_risk, np.union1d(spent, keys[first < len(place)])


def _mixed(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """One 64-bit number for two, wrapping around."""
    odd = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        mixed = (left.astype(np.uint64) + right.astype(np.uint64) * odd) * odd
    return mixed ^ (mixed >> np.uint64(29))
