"""Windows: the time partitions of a model's data, without Dagster.

A *grid* is the sequence of windows a model declares (``cadence``, ``start``, ``end``). Its keys
are the partition keys that Dagster shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

Cadence = Literal["daily", "weekly", "monthly", "none"]
UNPARTITIONED = "all"


@dataclass(frozen=True)
class Window:
    """A half-open span of time ``[start, end)`` in UTC; unbounded for ``cadence: none``."""

    key: str
    start: datetime | None = None
    end: datetime | None = None

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Start and end.

        Raises
        ------
        ValueError
            When the window has none (``cadence: none``).
        """
        if self.start is None or self.end is None:
            raise ValueError(f"window {self.key!r} has no bounds")
        return self.start, self.end

    def __str__(self) -> str:
        if self.start is None or self.end is None:
            return self.key
        return f"{self.key} [{self.start:%Y-%m-%d}, {self.end:%Y-%m-%d})"


@dataclass(frozen=True)
class WindowGrid:
    """The windows of a model.

    Parameters
    ----------
    cadence : {"daily", "weekly", "monthly", "none"}
    start : date or None
        First day of the first window. Weekly windows begin on its weekday.
    end : date or None
        No window ends after this day; None for a grid that goes on.

    Examples
    --------
    >>> grid = WindowGrid("weekly", date(2026, 1, 5))
    >>> grid.window("2026-01-12").end.date()
    datetime.date(2026, 1, 19)
    >>> [w.key for w in grid.back_from("2026-01-19", 2)]
    ['2026-01-12', '2026-01-19']
    """

    cadence: Cadence
    start: date | None = None
    end: date | None = None

    def window(self, key: str) -> Window:
        """The window with this key.

        Raises
        ------
        ValueError
            When no window of the grid starts there.
        """
        if self.cadence == "none":
            return Window(UNPARTITIONED)
        try:
            first = date.fromisoformat(key)
        except ValueError:
            raise ValueError(f"window {key!r} is not a date YYYY-MM-DD") from None
        if first < self._first or self._floor(first) != first:
            raise ValueError(f"no {self.cadence} window starts on {key} (first: {self.start})")
        window = self._at(first)
        if not self._holds(window):
            raise ValueError(f"window {key} ends after the grid does ({self.end})")
        return window

    def containing(self, moment: datetime) -> Window:
        """The window in which ``moment`` (aware) falls, whether or not the grid holds it."""
        if self.cadence == "none":
            return Window(UNPARTITIONED)
        return self._at(self._floor(moment.astimezone(UTC).date()))

    def complete(self, now: datetime, delay: timedelta = timedelta(0)) -> Iterator[Window]:
        """Windows that ended at least ``delay`` before ``now``, oldest first."""
        if self.cadence == "none":
            yield Window(UNPARTITIONED)
            return
        window = self._at(self._first)
        while window.bounds[1] + delay <= now and self._holds(window):
            yield window
            window = self._at(window.bounds[1].date())

    def newest_complete(self, now: datetime, delay: timedelta = timedelta(0)) -> Window | None:
        """The newest window that ended at least ``delay`` before ``now``, if any has."""
        return max(self.complete(now, delay), key=lambda window: window.key, default=None)

    def back_from(self, key: str, count: int) -> list[Window]:
        """The ``count`` windows up to and including ``key``, oldest first; fewer at the start."""
        window = self.window(key)
        if self.cadence == "none":
            return [window]
        windows = [window]
        while len(windows) < count and windows[0].bounds[0].date() > self._first:
            day_before = windows[0].bounds[0].date() - timedelta(days=1)
            windows.insert(0, self._at(self._floor(day_before)))
        return windows

    @property
    def _first(self) -> date:
        if self.start is None:
            raise ValueError(f"a {self.cadence} grid needs a start")
        return self.start

    def _holds(self, window: Window) -> bool:
        return self.end is None or window.bounds[1].date() <= self.end

    def _floor(self, day: date) -> date:
        if self.cadence == "daily":
            return day
        if self.cadence == "weekly":
            return day - timedelta(days=(day - self._first).days % 7)
        return day.replace(day=1)

    def _at(self, first: date) -> Window:
        if self.cadence == "monthly":
            after = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        else:
            after = first + timedelta(days=1 if self.cadence == "daily" else 7)
        return Window(first.isoformat(), _midnight(first), _midnight(after))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
