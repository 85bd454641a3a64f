"""What a scenario is, and what several of them read."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mlops_assets.assets.keys import ADVICE, DRIFT_REPORT, PERFORMANCE_REPORT, key
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.window import WindowGrid
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.drill.ground import Ground, champion
from mlops_assets.rehearsal.drill.report import ScenarioOutcome
from mlops_assets.rehearsal.state import State, Tick

if TYPE_CHECKING:
    import pandas as pd

MOST_FEATURES = 2
FEW_VALUES = 10


class Scenario(ABC):
    """One fault: puts it into a copy, and tells what became of it."""

    name: ClassVar[str]
    expected: ClassVar[str]

    @abstractmethod
    def play(self, ground: Ground) -> ScenarioOutcome:
        """Play it on a copy of its own.

        Raises
        ------
        LifecycleError
            When it can't be played: that is not the same as a defence that failed.
        """


@dataclass(frozen=True)
class Watched:
    """What the watch made of the window with the fault.

    Parameters
    ----------
    window : str
        Key of the window with the fault.
    control, drift, performance, advice : Report or None
        ``control`` is the drift report on the calm window.
    ticks : list of Tick
        Of the sensors that ask for retrains, after the window closed.
    alerts : list of dict
        On the window with the fault, told after it closed.
    closed : datetime
    grid : WindowGrid
    asked : int
        Rows of the window that were answered.
    before, after : int or None
        Champion before and after.
    calm : str or None
        The advice on the calm window.
    kind : str or None
        Of the alerts that tell of the fault; None where any does.
    """

    window: str
    control: Any
    drift: Any
    performance: Any
    advice: Any
    ticks: list[Tick]
    alerts: list[dict[str, Any]]
    closed: datetime
    grid: WindowGrid
    asked: int
    before: int | None
    after: int | None
    calm: str | None = None
    kind: str | None = None

    @property
    def retrains(self) -> list[Tick]:
        """Ticks that asked for a retrain."""
        return [tick for tick in self.ticks if tick.asked or tick.left_out]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Alerts that tell of the fault."""
        return [a for a in self.alerts if self.kind is None or a["kind"] == self.kind]

    @property
    def spoken(self) -> list[Tick]:
        """Ticks that say something of the window with the fault, or ask for a retrain."""
        return [t for t in self.ticks if self.window in t.words or t in self.retrains]

    @property
    def noticed(self) -> datetime | None:
        """When the first alert on it was raised, or a sensor said its first word on it."""
        told = [datetime.fromisoformat(alert["at"]) for alert in self.calls]
        return min(told or [tick.at for tick in self.spoken], default=None)

    @property
    def seconds(self) -> float | None:
        """From the close of the window until it was noticed."""
        return (self.noticed - self.closed).total_seconds() if self.noticed else None

    @property
    def windows(self) -> int | None:
        """Windows that closed in that time."""
        if self.noticed is None:
            return None
        return sum(w.bounds[1] > self.closed for w in self.grid.complete(self.noticed))

    def told(self) -> list[str]:
        """Reports, sensors and alerts in words."""
        found = [f"advice on the calm window: {self.calm or 'none'}"]
        found += [f"drift report: {self.drift.verdict}" if self.drift else "no drift report"]
        if self.performance:
            reason = f" ({self.performance.reason})" if self.performance.reason else ""
            found.append(f"performance report: {self.performance.verdict}{reason}")
        if self.advice:
            person = ", a person is needed" if self.advice.needs_person else ""
            found.append(f"advice: {self.advice.action}{person}: {self.advice.reasons[0]}")
        for tick in self.ticks:
            if tick.asked or tick.left_out:
                found.append(f"{tick.by} asked for a retrain")
            elif tick.words and not tick.words.startswith("no new "):
                found.append(f"{tick.by}: {tick.words}")
        found += [f"alert ({alert['kind']}): {alert['message']}" for alert in self.alerts]
        if not self.alerts:
            found.append("nobody was called")
        return found


def watch(ground: Ground, copy: Copy, kind: str | None = None) -> Watched:
    """Play the window and read what was made of it; ``kind`` as in `Watched`."""
    start, closed = ground.hit.bounds
    before = champion(copy, start)
    state = ground.play(copy)
    log = copy.platform(ground.span.end).prediction_log
    return Watched(
        window=ground.hit.key,
        control=_stored(copy, DRIFT_REPORT, ground.calm.key),
        drift=_stored(copy, DRIFT_REPORT, ground.hit.key),
        performance=_stored(copy, PERFORMANCE_REPORT, ground.hit.key),
        advice=_stored(copy, ADVICE, ground.hit.key),
        ticks=_sensors(ground, state),
        alerts=_alerts(ground, copy),
        closed=closed,
        grid=copy.spec.grid,
        asked=len(log.read(copy.spec.name, start, closed).records),
        before=before,
        after=champion(copy, ground.span.end),
        calm=getattr(_stored(copy, ADVICE, ground.calm.key), "action", None),
        kind=kind,
    )


def _alerts(ground: Ground, copy: Copy) -> list[dict[str, Any]]:
    """On the window with the fault; what is told of the calm one meanwhile is no find."""
    window, closed = ground.hit.key, ground.hit.bounds[1]
    late = [a for a in copy.alerts() if datetime.fromisoformat(a["at"]) >= closed]
    return [alert for alert in late if window in alert["message"]]


def _sensors(ground: Ground, state: State) -> list[Tick]:
    closed = ground.hit.bounds[1]
    return [t for t in state.ticks if t.at >= closed and "_on_" in t.by]


def _stored(copy: Copy, asset: str, window: str) -> Any:
    where = key(copy.spec, asset)
    return copy.reports.load(where, window) if copy.reports.exists(where, window) else None


def numeric_features(ground: Ground, copy: Copy) -> list[str]:
    """Features with numbers that are watched; the first few, of many values where there are any.

    Raises
    ------
    DeclarationError
        When there are none: nothing can be put in.
    """
    spec, rows = copy.spec, ground.rows(copy)
    kept = copy.platform(ground.span.end).prediction_log.read(spec.name, *ground.calm.bounds)
    seen = kept.records[0].features if kept.records else {}
    names = [
        name
        for name in seen
        if name not in spec.monitoring.drift.ignore
        and name in rows
        and rows[name].dtype.kind in "iuf"
        and rows[name].std() > 0
    ]
    if not names:
        raise DeclarationError(f"{spec.name}: no numeric feature is watched: nothing to change")
    many = [name for name in names if rows[name].nunique() > FEW_VALUES]
    return (many or names)[:MOST_FEATURES]


def changed(rows: "pd.DataFrame", name: str, factor: float, offset: float) -> "pd.DataFrame":
    """Rows with a column scaled and moved; whole numbers stay whole."""
    column = rows[name].astype(float) * factor + offset
    if rows[name].dtype.kind in "iu":
        return rows.assign(**{name: column.round().astype("int64")})
    return rows.assign(**{name: column.astype(rows[name].dtype)})
