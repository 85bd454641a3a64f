"""One policy over history: traffic, ticks and runs, in the order in which they would have been."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from mlops_assets.assets.keys import (
    DEPLOYMENT,
    EVALUATION_REPORT,
    TRAINED_MODEL,
    key,
)
from mlops_assets.automation.jobs import LIFECYCLE, MONITORING
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.window import Window
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.daemon import Daemon
from mlops_assets.rehearsal.runs import forget_cut_off
from mlops_assets.rehearsal.state import Asked, Served, State, Tick
from mlops_assets.rehearsal.traffic import answer

MOST_ROUNDS = 20
TRAINING = (TRAINED_MODEL, EVALUATION_REPORT, DEPLOYMENT)


class Replay:
    """Plays the windows of a copy.

    Parameters
    ----------
    copy : Copy
        With the data of the windows, and a champion.
    windows : list of Window
        What is played, oldest first, without a gap.
    end : datetime
        Until when reports on the windows are waited for (aware).
    tell : callable
        Gets a line about each step.
    """

    def __init__(
        self, copy: Copy, windows: list[Window], end: datetime, tell: Callable[[str], None]
    ):
        self._copy, self._windows, self._end, self._tell = copy, windows, end, tell
        self._start, self._last = windows[0].bounds[0], windows[-1].bounds[1]
        self._keys = {window.key for window in windows}

    def play(self) -> State:
        """Play on from where it was left, to the end."""
        state = State.load(self._copy.home) or State(until=self._start)
        if state.done:
            return state
        with self._copy.instance() as instance:
            daemon = Daemon(self._copy, instance)
            if cut_off := forget_cut_off(instance):
                self._tell(f"{cut_off} runs were cut off and are run again")
            for moment, names in self._moments(daemon, state.until):
                self._serve(state, state.until, moment)
                self._at(daemon, state, moment, names)
                state.until, state.evaluated = moment, []
                state.save(self._copy.home)
        self._serve(state, state.until, self._last)
        state.done = True
        state.save(self._copy.home)
        return state

    def _moments(self, daemon: Daemon, after: datetime) -> Iterator[tuple[datetime, list[str]]]:
        """The times at which schedules tick, each with those that do."""
        found: dict[datetime, list[str]] = {}
        for name, (cron, zone) in daemon.schedules().items():
            for moment in cron_times(cron, zone, self._start, self._end):
                found.setdefault(moment, []).append(name)
        return ((m, sorted(found[m])) for m in sorted(found) if m > after)

    def _serve(self, state: State, start: datetime, end: datetime) -> None:
        """Let the champion answer what was asked in a span of time."""
        if not state.served:
            self._note_champion(state, self._start)
        for window in self._windows:
            first, last = max(start, window.bounds[0]), min(end, window.bounds[1])
            if first < last:
                answer(self._copy, window, first, last)

    def _at(self, daemon: Daemon, state: State, moment: datetime, names: list[str]) -> None:
        self._empty(daemon, state, moment)
        for name in names:
            if name not in state.evaluated:
                self._take(state, daemon.schedule(name, moment))
                state.evaluated.append(name)
                self._empty(daemon, state, moment)
        for _ in range(MOST_ROUNDS):
            found = [self._look(daemon, state, name, moment) for name in daemon.sensors()]
            if not any(found):
                return
        raise EvidenceError(
            f"{self._copy.spec.name}: the sensors asked for more than {MOST_ROUNDS} runs in a row "
            f"at {moment:%Y-%m-%d %H:%M}: the loop runs away"
        )

    def _look(self, daemon: Daemon, state: State, name: str, moment: datetime) -> bool:
        """Evaluate a sensor and run what it asks for; whether it asked, or read on."""
        before = state.cursors.get(name)
        tick, cursor = daemon.sensor(name, moment, before)
        state.cursors[name] = cursor
        self._take(state, tick)
        self._empty(daemon, state, moment)
        return bool(tick.asked) or cursor != before

    def _take(self, state: State, tick: Tick) -> None:
        """Keep what was asked for before any of it is run."""
        kept = [asked for asked in tick.asked if self._wanted(asked, tick.at)]
        tick.left_out = [a.window for a in tick.asked if a not in kept]
        tick.asked = kept
        state.outbox += kept
        if kept or tick.left_out or tick.words:
            state.ticks.append(tick)
        state.save(self._copy.home)

    def _wanted(self, asked: Asked, at: datetime) -> bool:
        name = self._copy.spec.name
        if asked.job == f"{name}_{MONITORING}":
            return asked.window in self._keys
        # What is trained after the last window answers none of them.
        return asked.job == f"{name}_{LIFECYCLE}" and at < self._last

    def _empty(self, daemon: Daemon, state: State, moment: datetime) -> None:
        """Run what was asked for and is not known to be done."""
        while state.outbox:
            asked = state.outbox[0]
            spec = self._copy.spec
            trains = asked.job.endswith(f"_{LIFECYCLE}")
            only = [key(spec, asset) for asset in TRAINING] if trains else None
            self._tell(f"{moment:%Y-%m-%d %H:%M} {asked.job} {asked.window}")
            daemon.run(asked, moment, only)
            self._note_champion(state, moment)
            state.outbox.pop(0)
            state.save(self._copy.home)

    def _note_champion(self, state: State, moment: datetime) -> None:
        platform = self._copy.platform(moment)
        number = platform.registry.aliases(self._copy.spec.name).get(CHAMPION)
        if number is None:
            raise EvidenceError(f"{self._copy.spec.name} has no champion: nothing answers")
        if not state.served or state.served[-1].version != number:
            state.served.append(Served(since=moment, version=number))


def cron_times(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """The times of a cron in ``[start, end]``, in UTC."""
    # Not public, but Dagster's own: any other reading of the cron could tell another time.
    from dagster._utils.schedules import schedule_execution_time_iterator

    times: list[datetime] = []
    for moment in schedule_execution_time_iterator(start.timestamp(), cron, zone):
        if moment > end:
            return times
        times.append(moment.astimezone(UTC))
    return times
