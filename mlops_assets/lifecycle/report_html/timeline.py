"""The geometry of an incident's timeline: lanes below each other on one axis of time."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.digits import THIN, digits, interval
from mlops_assets.lifecycle.report_html.charts import Axis, Tick

if TYPE_CHECKING:
    from mlops_assets.lifecycle.incident.report import Incident, WindowState
    from mlops_assets.lifecycle.report_base import MetricEstimate

WIDTH, LEFT, RIGHT = 800, 152, 790
GAP, FOOT = 14, 26
SERVES, SHARES, VALUES, MARKS = 34, 64, 104, 22
NARROWEST = 6
LABELLED = 26  # a narrower span has no room for the name of its version
MOST_KPIS = 2


@dataclass(frozen=True)
class Bar:
    """A rectangle with words that a pointer shows."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str
    label: str = ""


@dataclass(frozen=True)
class Mark:
    """A point in time; from ``low`` to ``high`` where it is an estimate."""

    x: float
    y: float
    kind: str
    words: str
    low: float | None = None
    high: float | None = None


@dataclass
class Lane:
    """One row of the timeline."""

    title: str
    top: float
    height: float
    up: list[Tick] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    dashes: list[tuple[float, float, float, str]] = field(default_factory=list)

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return self.top + self.height


@dataclass(frozen=True)
class Timeline:
    """Everything that happened, on one axis."""

    width: float
    height: float
    left: float
    right: float
    lanes: list[Lane]
    across: list[Tick]
    focus: tuple[float, float] | None


@dataclass(frozen=True)
class _Clock:
    start: datetime
    end: datetime

    def place(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT), 1)

    def span(self, start: datetime, end: datetime) -> tuple[float, float]:
        """Where a span begins, and how wide it is drawn."""
        x, width = self.place(start), self.place(end) - self.place(start)
        if width >= NARROWEST:
            return x, round(width, 1)
        return round(min(max(x - NARROWEST / 2, LEFT), RIGHT - NARROWEST), 1), NARROWEST

    def ticks(self) -> list[Tick]:
        from matplotlib.dates import AutoDateLocator, num2date

        locator = AutoDateLocator(minticks=3, maxticks=7, tz=UTC)
        moments = [num2date(n, tz=UTC) for n in locator.tick_values(self.start, self.end)]
        days = (self.end - self.start).days
        written = "%Y-%m-%d" if days > 3 else "%m-%d %H:%M"
        return [
            Tick(self.place(m), m.strftime(written)) for m in moments if self.start <= m <= self.end
        ]


def timeline(found: "Incident") -> Timeline:
    """The timeline of an incident; a lane that has nothing to show is left out."""
    ends = [found.made_at, *(w.end for w in found.windows), *(e.at for e in found.events)]
    clock = _Clock(min([found.since, *(w.start for w in found.windows)]), max(ends))
    lanes: list[Lane] = []

    def lane(title: str, height: float) -> Lane:
        made = Lane(title, lanes[-1].bottom + GAP if lanes else 4, height)
        lanes.append(made)
        return made

    _serves(lane("serves", SERVES), clock, found)
    if any(e.kind == "alert" for e in found.events):
        _alerts(lane("alerts", MARKS), clock, found)
    _drift(lane("share drifted", SHARES), clock, found)
    metric = next((w.metric for w in reversed(found.windows) if w.realised), None)
    if metric is not None:
        _metric(lane(metric, VALUES), clock, found, metric)
    kpis = dict.fromkeys(k.metric for w in found.windows for k in w.kpis)
    for name in list(kpis)[:MOST_KPIS]:
        _kpi(lane(name, VALUES), clock, found, name)
    focused = next((w for w in found.windows if w.key == found.window), None)
    return Timeline(
        width=WIDTH,
        height=lanes[-1].bottom + FOOT,
        left=LEFT,
        right=RIGHT,
        lanes=lanes,
        across=clock.ticks(),
        focus=clock.span(focused.start, focused.end) if focused else None,
    )


def _serves(lane: Lane, clock: _Clock, found: "Incident") -> None:
    for place, span in enumerate(found.spans):
        x, width = clock.span(span.start, span.end)
        name = f"v{span.version}"
        words = f"{name}: {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M}"
        lane.bars.append(
            Bar(x, lane.top + 12, width, lane.height - 12, f"v{place % 2}", words,
                name if width >= LABELLED else "")
        )  # fmt: skip
    for event in found.events:
        if event.kind == "deployment":
            words = f"{event.at:%Y-%m-%d %H:%M} {event.action} v{event.version}, {event.who}"
            bad = event.action in ("rollback", "abort", "retire", "load failed", "refuse")
            kind = "bad" if bad else "good"
            lane.marks.append(Mark(clock.place(event.at), lane.top + 6, kind, words))


def _alerts(lane: Lane, clock: _Clock, found: "Incident") -> None:
    for event in found.events:
        if event.kind == "alert":
            words = f"{event.at:%Y-%m-%d %H:%M} {event.action}: {event.why}"
            lane.marks.append(Mark(clock.place(event.at), lane.top + MARKS / 2, "bad", words))


def _drift(lane: Lane, clock: _Clock, found: "Incident") -> None:
    kinds = {"stable": "good", "drifted": "bad", "broken": "bad", "insufficient_data": "base"}
    lane.up = [Tick(lane.bottom, "0%"), Tick(lane.top, "100%")]
    for window in found.windows:
        x, width = clock.span(window.start, window.end)
        inset = 1 if width > NARROWEST else 0
        share, kind = window.drift_share or 0.0, kinds.get(window.drift, "none")
        # What is broken is not drifted, and has no share; but it must be seen.
        height = lane.height if window.drift == "broken" else max(3.0, share * lane.height)
        words = f"{window.key}: {window.drift.replace('_', ' ') or 'no drift report'}"
        if window.drifted:
            words += f", {share:.0%}: {', '.join(window.drifted[:8])}"
        lane.bars.append(
            Bar(x + inset, round(lane.bottom - height, 1), width - 2 * inset, round(height, 1),
                kind, words)
        )  # fmt: skip


def _metric(lane: Lane, clock: _Clock, found: "Incident", metric: str) -> None:
    shown = [w for w in found.windows if w.metric == metric]
    values = [v for w in shown for e in (w.realised, w.estimated) for v in _ends(e)]
    axis = _up(lane, [*values, *(w.hold_out.value for w in shown if w.hold_out)])
    for window in shown:
        x, width = clock.span(window.start, window.end)
        kind = {"decayed": "bad", "healthy": "good"}.get(window.performance, "base")
        words = f"{window.key}: {window.performance}, {metric}"
        _estimate(lane, axis, window, clock, window.realised, kind, words)
        if window.realised is None:
            words = f"{window.key}: estimated without labels, {metric}"
            _estimate(lane, axis, window, clock, window.estimated, "guess", words)
        hold_out = window.hold_out
        if hold_out is not None and math.isfinite(hold_out.value):
            value = digits(hold_out.value, separator=THIN)
            words = f"hold-out of v{window.performance_version}: {value}"
            lane.dashes.append((x, x + width, axis(hold_out.value), words))


def _kpi(lane: Lane, clock: _Clock, found: "Incident", name: str) -> None:
    estimates = [(w, k) for w in found.windows for k in w.kpis if k.metric == name]
    axis = _up(lane, [v for _, k in estimates for v in _ends(k)])
    for window, kpi in estimates:
        _estimate(lane, axis, window, clock, kpi, "s0", f"{window.key}: {name}")


def _ends(estimate: "MetricEstimate | None") -> list[float]:
    if estimate is None:
        return []
    return [v for v in (estimate.value, estimate.low, estimate.high) if math.isfinite(v)]


def _up(lane: Lane, values: list[float]) -> Callable[[float], float]:
    axis = Axis.over([v for v in values if math.isfinite(v)], lane.bottom, lane.top, most=3)
    lane.up = axis.ticks
    return axis.place


def _estimate(
    lane: Lane,
    axis: Callable[[float], float],
    window: "WindowState",
    clock: _Clock,
    estimate: "MetricEstimate | None",
    kind: str,
    words: str,
) -> None:
    if estimate is None or not math.isfinite(estimate.value):
        return
    e = estimate
    x = clock.place(window.start + (window.end - window.start) / 2)
    told = f"{words} {interval(e.value, e.low, e.high, THIN)}"
    lane.marks.append(Mark(x, axis(e.value), kind, told, axis(e.low), axis(e.high)))
