"""The windows of the timeline, and what their stored reports say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.incident.report import AdviceNow, WindowState
from mlops_assets.lifecycle.incident.sources import Missing, Sources
from mlops_assets.lifecycle.window import UNPARTITIONED, Window

if TYPE_CHECKING:
    from mlops_assets.lifecycle.reports import Advice, DriftReport, PerformanceReport

WATCHED = ("live_predictions", "drift_report", "performance_report")
WINDOWS_BACK = 12
DAYS_BACK = timedelta(days=30)


@dataclass(frozen=True)
class Watched:
    """The reports on one window; None where there is none."""

    window: Window
    drift: "DriftReport | None"
    performance: "PerformanceReport | None"
    advice: "Advice | None"


def focus(sources: Sources, asked: str | None, missing: Missing) -> Window:
    """The window that the page is about: the one asked for, or the newest that was watched.

    Raises
    ------
    DeclarationError
        When there is no such window, or none at all yet.
    """
    spec = sources.spec
    if spec.cadence == "none":
        if asked not in (None, UNPARTITIONED):
            raise DeclarationError(f"{spec.name} has no windows, and {asked!r} was asked for")
        return spec.grid.window(UNPARTITIONED)
    if asked is not None:
        try:
            return spec.grid.window(asked)
        except ValueError as error:
            raise DeclarationError(f"{spec.name}: {error}") from None
    newest = newest_watched(sources)
    if newest is not None:
        return newest
    missing.tell("timeline", "no window was ever watched: no live predictions, no report")
    complete = spec.grid.newest_complete(sources.now)
    if complete is None:
        raise DeclarationError(f"{spec.name}: no window is complete yet; the first is {spec.start}")
    return complete


def newest_watched(sources: Sources) -> Window | None:
    """The newest window with live predictions or a report."""
    keys = [key for asset in WATCHED for key in sources.windows(asset)[-1:]]
    return sources.spec.grid.window(max(keys)) if keys else None


def shown(sources: Sources, window: Window, since: date | None) -> tuple[list[Window], datetime]:
    """The windows of the timeline, oldest first, and the moment at which it begins.

    Raises
    ------
    DeclarationError
        When it would begin after the window that the page is about, or in the future.
    """
    grid = sources.spec.grid
    begin = None if since is None else datetime.combine(since, time.min, sources.now.tzinfo)
    if begin and begin > sources.now:
        raise DeclarationError(f"--since {since} is in the future")
    if window.start is None:
        return [window], begin or sources.now - DAYS_BACK
    if begin and window.bounds[1] <= begin:
        raise DeclarationError(f"--since {since} is after the window {window}")
    newest = newest_watched(sources) or window
    last = max(newest, window, key=lambda each: each.key)
    first = grid.back_from(window.key, WINDOWS_BACK)[0].bounds[0] if begin is None else begin
    span = (last.bounds[1] - first).days + 1
    every = grid.back_from(last.key, span)
    windows = [each for each in every if each.bounds[1] > first]
    return windows, first


def watched(sources: Sources, windows: Sequence[Window], missing: Missing) -> list[Watched]:
    """The stored reports on each window; what is not there is told."""
    found = [_watched(sources, window, missing) for window in windows]
    ended = [w for w in found if w.window.end is None or w.window.end <= sources.now]
    for name in ("drift", "performance", "advice"):
        gone = [w.window.key for w in ended if getattr(w, name) is None]
        if gone:
            missing.tell("timeline", f"no {name} report for {in_words(gone, windows)}")
    return found


def _watched(sources: Sources, window: Window, missing: Missing) -> Watched:
    reports: dict[str, Any] = {}
    for asset in ("drift_report", "performance_report", "advice"):
        reports[asset] = None
        with missing.reading("timeline", f"the {asset.replace('_', ' ')} of {window.key}"):
            reports[asset] = sources.report(asset, window.key)
    return Watched(window, *reports.values())


def in_words(keys: Sequence[str], windows: Sequence[Window]) -> str:
    """Keys of windows as runs: ``2026-01-05 to 2026-01-19, 2026-02-09``."""
    places = [place for place, window in enumerate(windows) if window.key in set(keys)]
    cuts = [n + 1 for n, (a, b) in enumerate(pairwise(places)) if b > a + 1]
    runs = [places[a:b] for a, b in pairwise([0, *cuts, len(places)])]
    told = [
        windows[run[0]].key if len(run) == 1 else f"{windows[run[0]].key} to {windows[run[-1]].key}"
        for run in runs
    ]
    return f"{'window' if len(places) == 1 else f'{len(places)} windows:'} {', '.join(told)}"


def state(sources: Sources, found: Watched) -> WindowState:
    """One row of the timeline."""
    drift, performance, advice = found.drift, found.performance, found.advice
    made = [r.created_at for r in (drift, performance) if r is not None]
    moment = max(made, default=sources.now)
    values = {
        "key": found.window.key,
        "start": found.window.start or moment,
        "end": found.window.end or moment,
        "advice": advice.action if advice else "",
    }
    if drift is not None:
        values |= {
            "drift": drift.verdict,
            "drift_version": drift.version,
            "drift_share": drift.share,
            "drifted": [c.column for c in drift.columns if c.verdict in ("drifted", "broken")],
            "prediction_drifted": drift.prediction_drifted,
        }
    if performance is not None:
        estimated = performance.estimated
        values |= {
            "performance": performance.verdict,
            "performance_version": performance.version,
            "reason": performance.reason,
            "labelled": performance.labelled,
            "predictions": performance.predictions,
            "metric": performance.metric,
            "realised": performance.realised,
            "hold_out": performance.hold_out,
            "estimated": estimated.estimate if estimated and estimated.trusted else None,
            "kpis": performance.kpis,
        }
    return WindowState(**values)


def advice_now(found: Sequence[Watched], champion: int | None) -> AdviceNow | None:
    """The newest advice, and why it may not count any more."""
    newest = next((w for w in reversed(found) if w.advice is not None), None)
    if newest is None or newest.advice is None:
        return None
    advice, void = newest.advice, []
    for name, report, made in (
        ("drift", newest.drift, advice.drift_report_at),
        ("performance", newest.performance, advice.performance_report_at),
    ):
        if report is None or report.created_at != made:
            void.append(f"the {name} report that it was made from is not the one stored now")
    if champion is not None and advice.version != champion:
        void.append(f"it is about v{advice.version}, and v{champion} serves")
    later = [w for w in found if w.window.key > newest.window.key and (w.drift or w.performance)]
    if later:
        void.append(f"window {later[-1].window.key} was reported on since")
    return AdviceNow(
        window=advice.window,
        version=advice.version,
        action=advice.action,
        reasons=advice.reasons,
        columns=advice.columns,
        created_at=advice.created_at,
        needs_person=advice.needs_person,
        void="; ".join(void),
    )
