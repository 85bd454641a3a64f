"""Gathering an incident: everything is read, nothing is written, and what is missing is told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.incident import serving as rollout
from mlops_assets.lifecycle.incident import windows as watch
from mlops_assets.lifecycle.incident.alarms import open_alarms
from mlops_assets.lifecycle.incident.alerts import alerts
from mlops_assets.lifecycle.incident.columns import drifted_columns
from mlops_assets.lifecycle.incident.mistakes import live_of, newest_mistakes
from mlops_assets.lifecycle.incident.report import (
    DriftedColumn,
    Event,
    Incident,
    Resemblance,
    Serving,
    Traffic,
)
from mlops_assets.lifecycle.incident.resemblance import resemblance
from mlops_assets.lifecycle.incident.sources import Away, Missing, Sources
from mlops_assets.lifecycle.incident.traffic import DEFAULT_BACK, traffic

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.incident.windows import Watched


def gather(sources: Sources, window: str | None = None, since: date | None = None) -> Incident:
    """Everything that the person on call needs to know of a model.

    Parameters
    ----------
    window : str or None
        The window whose drift and answers are shown; None for the newest that was watched.
    since : date or None
        First day (UTC) of the timeline and of the traffic. None: twelve windows back (30 days
        for a model without windows), and seven days of traffic.

    Raises
    ------
    DeclarationError
        When there is no such window, or ``since`` does not come before it.
    """
    missing, spec = Missing(), sources.spec
    chosen = watch.focus(sources, window, missing)
    shown, begin = watch.shown(sources, chosen, since)
    found = watch.watched(sources, shown, missing)
    if spec.monitoring.decay is None:
        missing.tell("timeline", "decay is not judged: no monitoring.decay is declared")
    state = rollout.serving_now(sources, missing)
    if rollout.REGISTRY in missing.words:
        sources = replace(sources, registry=Away("the registry"))
    back = rollout.rollback_now(sources, state)
    performances = [w.performance for w in found if w.performance is not None]
    columns: list[DriftedColumn] = []
    left_out, likeness = 0, None
    seen = next((w for w in found if w.window.key == chosen.key), None)
    version = _version(seen, state)
    if version is None:
        missing.tell("columns", "nothing serves, and nothing is known of what served")
        missing.tell("resemblance", "nothing serves, and nothing is known of what served")
    else:
        live = _live(sources, chosen.key, version, missing)
        reference = _reference(sources, version, missing)
        columns, left_out = _columns(seen, reference, live, missing)
        if live is None:
            missing.tell("resemblance", f"the live predictions of {chosen.key} are not at hand")
        else:
            likeness = _likeness(sources, version, chosen.key, live, reference, missing)
    return Incident(
        model=spec.name,
        task=spec.task,
        description=spec.description,
        owners=spec.owners,
        window=chosen.key,
        since=begin,
        made_at=sources.now,
        serving=state,
        alarms=open_alarms(sources, state, found),
        advice=watch.advice_now(found, state.champion),
        rollback=back,
        candidates=rollout.candidates(sources, state, back.target, performances, missing),
        spans=rollout.spans(sources, begin),
        events=_events(sources, begin, missing),
        windows=[watch.state(sources, each) for each in found],
        columns=columns,
        columns_left_out=left_out,
        mistakes=newest_mistakes(sources, _until(shown, chosen.key), missing),
        resemblance=likeness,
        traffic=_traffic(sources, begin if since else sources.now - DEFAULT_BACK, missing),
        failed_runs=_failed_runs(sources, missing),
        missing=missing.words,
    )


def _version(seen: "Watched | None", state: Serving) -> int | None:
    """The version that the window's reports are about; the champion where there are none."""
    reports = [seen.drift, seen.performance] if seen else []
    return next((r.version for r in reports if r is not None), state.champion)


def _until(windows: Sequence, key: str) -> list:
    return [each for each in windows if each.key <= key]


def _live(sources: Sources, window: str, version: int, missing: Missing) -> "pd.DataFrame | None":
    with missing.reading("columns", f"the live predictions of {window}"):
        frame = live_of(sources, window)
        if frame is not None:
            return frame[frame["version"] == version]
        missing.tell("columns", f"no live predictions are stored for window {window}")
    return None


def _reference(sources: Sources, version: int, missing: Missing) -> "pd.DataFrame | None":
    from mlops_assets.lifecycle.recording import read_reference

    with missing.reading("columns", f"the reference of v{version}"):
        return read_reference(
            sources.registry, sources.registry.version(sources.spec.name, version)
        )
    return None


def _columns(
    seen: "Watched | None",
    reference: "pd.DataFrame | None",
    live: "pd.DataFrame | None",
    missing: Missing,
) -> tuple[list[DriftedColumn], int]:
    if seen is None or seen.drift is None:
        missing.tell("columns", "without a drift report it is not known what drifted")
        return [], 0
    if seen.drift.verdict == "insufficient_data":
        missing.tell("columns", "the drift report had too few rows to judge any column")
    return drifted_columns(seen.drift, reference, live)


def _likeness(
    sources: Sources,
    version: int,
    window: str,
    live: "pd.DataFrame",
    reference: "pd.DataFrame | None",
    missing: Missing,
) -> Resemblance | None:
    with missing.reading("resemblance", "the hold-out"):
        return resemblance(sources, version, window, live, reference, missing)
    return None


def _events(sources: Sources, since: datetime, missing: Missing) -> list[Event]:
    events = rollout.deployments(sources, since)
    with missing.reading("timeline", "the alerts that were raised"):
        events += alerts(sources.alerts(since))
    return sorted(events, key=lambda event: event.at)


def _traffic(sources: Sources, since: datetime, missing: Missing) -> Traffic | None:
    with missing.reading("traffic", "the prediction log"):
        found, left_out = traffic(sources, since)
        if not found.rows:
            missing.tell("traffic", f"no request was answered since {since:%Y-%m-%d %H:%M} UTC")
        if left_out:
            missing.tell("traffic", f"{left_out} older rows of the table are left out")
        return found
    return None


def _failed_runs(sources: Sources, missing: Missing) -> list:
    with missing.reading("runs", "Dagster's runs"):
        return sources.failed_runs()
    return []
