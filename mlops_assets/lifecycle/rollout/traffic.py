"""What a rollout has seen: the prediction log of champion and canary, counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from mlops_assets.lifecycle.prediction_log import Record
from mlops_assets.lifecycle.rollout import blocks as cut
from mlops_assets.lifecycle.rollout.baseline import TENTHS, Baseline, Past, Replies
from mlops_assets.lifecycle.rollout.blocks import CANARY, CHAMPION, Blocks, KpiLooks
from mlops_assets.lifecycle.rollout.periods import Period, check
from mlops_assets.lifecycle.rollout.requests import one_a_request, under_drawn_unit
from mlops_assets.lifecycle.rollout.rows import Rows

ARMS = {"champion": CHAMPION, "canary": CANARY, "shadow": CANARY}
SLICE = timedelta(minutes=1)
UNIT_WINDOW = timedelta(hours=1)
MIN_BASELINE = 200  # answers of the champion that fix a p95 and ten bins


class Traffic:
    """Counts by minute of what champion and canary did in the periods of a rollout.

    Only the champion's answers in the same period are held against the canary's. A unit stays
    with its variant, so what goes wrong for it is one piece of evidence: its requests of a window
    count up to its first bad event. Units that the champion failed, or answered slowly, most of
    the time before the rollout are left out on both sides: which side they fell on is chance, and
    they would tell of it again in every window. Rows of one request are one answer (`requests`).

    Parameters
    ----------
    periods : list of Period
        In order, not overlapping; at least one.
    canary, champion : int
        The versions that are compared; answers of others are left out.
    unit_window : timedelta
        How long a unit's bad events count as one. Longer is safer against units that are bad all
        the time, shorter finds more where few units ask much.
    names : tuple of str, optional
        What champion and canary are called in the log during the rollout, beside their roles.

    Raises
    ------
    EvidenceError
        When the periods do not follow each other.
    """

    def __init__(
        self,
        periods: list[Period],
        *,
        canary: int,
        champion: int,
        unit_window: timedelta = UNIT_WINDOW,
        names: tuple[str, str] | None = None,
    ):
        check(periods)
        self.periods = list(periods)
        self.canary, self.champion = canary, champion
        self.unit_window = unit_window
        self._arms = ARMS | dict(zip(names or (), (CHAMPION, CANARY), strict=False))
        self.baseline: Baseline | None = None
        self.last: datetime | None = None
        self._past = Past()
        self._left_out: dict[str, np.ndarray] = {}
        self._compared_from = -np.inf
        self._sums: dict[tuple[int, int], np.ndarray] = {}
        self._spent: dict[str, np.ndarray] = {}
        self._unreadable: Counter[str] = Counter()
        self._shift: float | None = None
        self._blocks: Blocks | None = None

    def begin(self, period: Period) -> None:
        """Start the next period; the one that goes on ends there."""
        ended = replace(self.periods[-1], end=period.start)
        periods = [*self.periods[:-1], ended, period]
        check(periods)
        self.periods = periods

    def extend(self, records: Iterable[Record]) -> None:
        """Count more requests, each once, with all its rows; in any order within one call."""
        rows_of_requests = under_drawn_unit(r for r in records if self._compared(r))
        chosen = sorted(one_a_request(rows_of_requests), key=lambda r: r.logged_at)
        if not chosen:
            return
        self._blocks = None
        self.last = max(chosen[-1].logged_at, self.last or chosen[-1].logged_at)
        rows = self._rows(chosen)
        replies = Replies.of(chosen)
        if self.baseline is None:
            self._learn(rows, replies)
        during = rows.period >= 0
        self._count(rows, cut.REQUESTS, during)
        self._count_events(rows, "errors", cut.ERRORS_SEEN, during, ~replies.good)
        self._count_answers(rows, replies)

    def extend_values(self, records: Iterable[Record], values: Mapping[str, float]) -> None:
        """Count what answers turned out to be worth: per unit and window, the mean.

        Parameters
        ----------
        records : iterable of Record
            All records of a unit's window belong into one call.
        values : mapping of str to float
            By prediction id, where known.
        """
        compared = under_drawn_unit(r for r in records if self._compared(r))
        chosen = [r for r in compared if r.prediction_id in values]
        if not chosen:
            return
        rows = self._rows(chosen)
        value = np.array([values[r.prediction_id] for r in chosen], float)
        known = (rows.period >= 0) & np.isfinite(value)
        self._unreadable["kpi"] += int(((rows.period >= 0) & ~known).sum())
        if not known.any():
            return
        if self._shift is None:
            self._shift = float(value[known][0])
        _, first, unit = np.unique(rows.key[known], return_index=True, return_inverse=True)
        mean = np.bincount(unit, value[known] - self._shift) / np.bincount(unit)
        units = rows.take(np.flatnonzero(known)[first])
        for column, weights in (
            (cut.VALUES, np.ones(len(mean))),
            (cut.VALUE_SUM, mean),
            (cut.VALUE_SQUARES, mean**2),
        ):
            self._count(units, column, np.ones(len(mean), bool), weights)

    def blocks(self) -> Blocks:
        """The counts, cut into blocks that have traffic on both sides."""
        if self._blocks is None:
            self._blocks = cut.cut(*self._slices())
        return self._blocks

    def kpi_looks(self, min_units: int) -> KpiLooks:
        """The difference of mean values after each slice."""
        return cut.kpi_looks(*self._slices(), self._shift or 0.0, min_units)

    def requests(self, since: datetime) -> tuple[int, int]:
        """Answers of canary and champion in the periods that began at ``since`` or later."""
        sums = [s for (p, _), s in self._sums.items() if self.periods[p].start >= since]
        total = np.sum([s[cut.REQUESTS] for s in sums], axis=0) if sums else np.zeros(2)
        return int(total[CANARY]), int(total[CHAMPION])

    def champion_alone(self) -> int:
        """Answers of the champion in the last period since the canary answered last."""
        alone = 0
        for key in sorted((k for k in self._sums if k[0] == len(self.periods) - 1), reverse=True):
            requests = self._sums[key][cut.REQUESTS]
            if requests[CANARY]:
                break
            alone += int(requests[CHAMPION])
        return alone

    def unreadable(self, what: str) -> str | None:
        """Why latencies, predictions or KPI values can't be judged, or None when they can."""
        count = self._unreadable[what]
        return f"{count} answers without a finite {what}: fails closed" if count else None

    def why_empty(self) -> str | None:
        """Why there is nothing to compare, or None when there is."""
        if self.blocks().ends:
            return None
        return f"no stretch with {cut.MIN_REQUESTS} requests each to canary and champion yet"

    def why_no_baseline(self) -> str:
        """Why the champion's usual answers are not known."""
        return (
            f"fewer than {MIN_BASELINE} answers of the champion (version {self.champion}) to fix "
            "its p95 and bins from"
        )

    # --- counting ---------------------------------------------------------------------------

    def _compared(self, record: Record) -> bool:
        arm = self._arms.get(record.variant)
        return arm is not None and record.version == (self.champion, self.canary)[arm]

    def _rows(self, records: list[Record]) -> Rows:
        arms = np.array([self._arms[r.variant] for r in records])
        starts = np.array([p.start.timestamp() for p in self.periods])
        ends = np.array([p.end.timestamp() if p.end else np.inf for p in self.periods])
        return Rows.of(records, arms, starts, ends, SLICE, self.unit_window)

    def _learn(self, rows: Rows, replies: Replies) -> None:
        champion = rows.arm == CHAMPION
        self._past.add(rows.unit, replies, champion & (rows.period == -1), before=True)
        if not (rows.period >= 0).any():
            return
        # Without enough of the champion's past, its first answers of the rollout stand in for it,
        # and are not compared then.
        missing = max(MIN_BASELINE - self._past.usable, 0)
        now = np.flatnonzero(champion & (rows.period >= 0) & replies.usable)[:missing]
        stand_in = np.isin(np.arange(len(champion)), now)
        self._past.add(rows.unit, replies, stand_in, before=False)
        self._left_out["errors"] = self._past.always_failing()
        if self._past.usable < MIN_BASELINE:
            return
        if len(now):
            self._compared_from = rows.at[now[-1]]
        self.baseline = self._past.baseline()
        self._left_out["slow"] = self._past.always_slow(self.baseline.p95)
        self._past = Past()

    def _count_answers(self, rows: Rows, replies: Replies) -> None:
        during = replies.good & (rows.period >= 0)
        self._unreadable["latency"] += int((during & ~replies.timed).sum())
        self._unreadable["prediction"] += int((during & ~replies.spoke).sum())
        if self.baseline is None:
            return
        during &= rows.at > self._compared_from
        slow = replies.timed & (replies.latency > self.baseline.p95)
        self._count_events(rows, "slow", cut.SLOW_SEEN, during & replies.timed, slow)
        everything = np.ones(len(slow), bool)
        first = self._at_risk(rows, "answers", during & replies.spoke, everything)
        places = np.full(len(slow), -1)
        said = [replies.said[i] for i in np.flatnonzero(first)]
        places[first] = self.baseline.bins.index(said)
        for place in range(len(self.baseline.bins.shares)):
            self._count(rows, cut.BINS + place, places == place)

    def _count_events(
        self, rows: Rows, what: str, seen: int, counted: np.ndarray, bad: np.ndarray
    ) -> None:
        at_risk = self._at_risk(rows, what, counted, bad)
        self._count(rows, seen, at_risk)
        self._count(rows, seen + 1, at_risk & bad)

    def _at_risk(self, rows: Rows, what: str, counted: np.ndarray, bad: np.ndarray) -> np.ndarray:
        if what in self._left_out:
            counted = counted & ~np.isin(rows.unit, self._left_out[what])
        spent = self._spent.get(what, np.empty(0, dtype=rows.key.dtype))
        at_risk, self._spent[what] = rows.until_first(counted, bad, spent)
        return at_risk

    def _count(
        self, rows: Rows, column: int, chosen: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        if not chosen.any():
            return
        keys = rows.period[chosen].astype(np.int64) << 40 | rows.slice[chosen]
        cells, cell = np.unique(keys, return_inverse=True)
        flat = np.bincount(
            cell * 2 + rows.arm[chosen],
            None if weights is None else weights[chosen],
            minlength=2 * len(cells),
        )
        for value, counts in zip(cells.tolist(), flat.reshape(-1, 2), strict=True):
            place = (value >> 40, value & ((1 << 40) - 1))
            if place not in self._sums:
                self._sums[place] = np.zeros((cut.BINS + TENTHS, 2))
            self._sums[place][column] += counts

    def _slices(self) -> tuple[np.ndarray, list[datetime], np.ndarray]:
        places = sorted(self._sums)
        steps = np.array([p for p, _ in places], dtype=int)
        ends = [self._end_of(p, s) for p, s in places]
        sums = [self._sums[place] for place in places]
        return steps, ends, np.array(sums).reshape(len(places), cut.BINS + TENTHS, 2)

    def _end_of(self, period: int, place: int) -> datetime:
        end = self.periods[period].start + (place + 1) * SLICE
        return min(filter(None, (end, self.periods[period].end, self.last)))


def tally(
    records: Iterable[Record],
    periods: list[Period],
    *,
    canary: int,
    champion: int,
    values: Mapping[str, float] | None = None,
    unit_window: timedelta = UNIT_WINDOW,
    names: tuple[str, str] | None = None,
) -> Traffic:
    """Count the records of a rollout, and those before it that say what is usual.

    Parameters
    ----------
    records : iterable of Record
        The champion's from before the first period as well: they fix its p95 and the bins.
    periods : list of Period
    canary, champion : int
        Versions.
    values : mapping of str to float, optional
        What answers turned out to be worth, by prediction id; more is better.
    unit_window, names
        See `Traffic`.
    """
    traffic = Traffic(
        periods, canary=canary, champion=champion, unit_window=unit_window, names=names
    )
    records = list(records)
    traffic.extend(records)
    if values:
        traffic.extend_values(records, values)
    return traffic
