"""Which windows should have been reported on by now."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.window import UNPARTITIONED, Window, WindowGrid

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.journal import Entry
    from mlops_assets.lifecycle.spec import ModelSpec

# How far back: who was told of as many missing reports knows.
LOOK_BACK = 8
# A model without windows is watched on Mondays: see `MONITORING_CRON`.
WEEKS = WindowGrid("weekly", date(1970, 1, 5))


@dataclass(frozen=True)
class Due:
    """A report that has to be there.

    Parameters
    ----------
    window : Window
    since : datetime
        When it could be made: the window had closed, and for performance its labels had come.
        Without windows, the Monday since which it has to be made again.
    """

    window: Window
    since: datetime


def serves_since(entries: "list[Entry]") -> datetime | None:
    """When the first version of a model began to serve; None where none ever did, or none does.

    Parameters
    ----------
    entries : list of Entry
        Of the rollout journal, of one model, oldest first.
    """
    from mlops_assets.lifecycle.rollout.history import RETIRE, SERVES

    done = [e for e in entries if e.state == "done"]
    serves = [e for e in done if e.action in SERVES]
    changes = [e for e in done if e.action in (*SERVES, RETIRE)]
    if not serves or changes[-1].action == RETIRE:
        return None
    return datetime.fromisoformat(serves[0].at)


def due(spec: "ModelSpec", serving: datetime, now: datetime, delay: timedelta) -> list[Due]:
    """The windows whose report is overdue unless it is there, oldest first.

    Those that closed after the model began to serve, and whose report could be made for longer
    than ``monitoring.late_after``; the newest :data:`LOOK_BACK` of them. Without windows, all that
    was ever asked is reported on each Monday, so that one report is due, made since the last one.

    Parameters
    ----------
    serving : datetime
        When the model began to serve.
    delay : timedelta
        From the window's end to when the report can be made: none for drift, the label delay for
        performance. Without windows it counts for nothing: either report tells what is known.
    """
    if spec.cadence == "none":
        monday, _ = WEEKS.containing(now - spec.monitoring.late_after).bounds
        return [Due(Window(UNPARTITIONED), monday)] if monday > serving else []
    windows = served(spec.grid, serving, now, delay + spec.monitoring.late_after)
    return [Due(w, w.bounds[1] + delay) for w in windows[-LOOK_BACK:]]


def served(grid: WindowGrid, serving: datetime, now: datetime, delay: timedelta) -> list[Window]:
    """The windows that closed after the model began to serve, and at least ``delay`` ago."""
    return [w for w in grid.complete(now, delay) if w.bounds[1] > serving]


def gone_quiet(rows: list[tuple[str, int]], many: int) -> str | None:
    """The first window without a single prediction, where before it there were many.

    Parameters
    ----------
    rows : list of (str, int)
        Window and predictions, oldest first.
    many : int
        What counts as many.
    """
    empty = list(takewhile(lambda each: each[1] == 0, reversed(rows)))
    before = rows[: len(rows) - len(empty)]
    return empty[-1][0] if empty and before and before[-1][1] >= many else None
