"""Schedules: retraining on the declared cron, monitoring when a window closes."""

from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_assets.assets.keys import TRIGGER_TAG
from mlops_assets.automation.jobs import LIFECYCLE, MONITORING
from mlops_assets.automation.retired import skip_retired
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import Platform

MONITORING_CRON = {
    "daily": "30 0 * * *",
    "weekly": "30 0 * * {weekday}",
    "monthly": "30 0 1 * *",
    "none": "30 0 * * 1",  # the Mondays of `lifecycle.overdue.WEEKS`
}


def schedules(spec: ModelSpec, jobs: dict[str, Any]) -> list[dg.ScheduleDefinition]:
    """``<model>_retrain`` and ``<model>_watch``; the first only where a cron is declared."""
    made = [_watch(spec, jobs[MONITORING])]
    if spec.retrain.schedule is not None:
        made.append(_retrain(spec, spec.retrain.schedule, jobs[LIFECYCLE]))
    return made


def watch_cron(spec: ModelSpec) -> str:
    """When ``<model>_watch`` ticks (UTC): half an hour after midnight as a window closes."""
    weekday = (spec.start.weekday() + 1) % 7 if spec.start else 1
    return MONITORING_CRON[spec.cadence].format(weekday=weekday)


def _retrain(spec: ModelSpec, cron: str, job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{spec.name}_retrain",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Train on the newest window whose labels are complete.",
    )
    def retrain(context: dg.ScheduleEvaluationContext, platform: Platform):
        if skip := skip_retired(platform, spec.name):
            return skip
        now = context.scheduled_execution_time
        window = spec.grid.newest_complete(now, spec.columns.label_delay)
        if window is None:
            return dg.SkipReason(f"no window has complete labels yet (first: {spec.start})")
        if _past_the_grid(spec, window, now):
            return dg.SkipReason(f"the grid ends with window {window.key}: nothing new since")
        return _request(window, f"{spec.name}:schedule:{now:%Y-%m-%dT%H:%M}", "schedule")

    return retrain


def _watch(spec: ModelSpec, job) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{spec.name}_watch",
        job=job,
        cron_schedule=watch_cron(spec),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Report on the window that closed, and on the one whose labels matured.",
    )
    def watch(context: dg.ScheduleEvaluationContext, platform: Platform):
        if skip := skip_retired(platform, spec.name):
            return skip
        now = context.scheduled_execution_time
        delays = (timedelta(0), spec.columns.label_delay)
        found = [spec.grid.newest_complete(now, delay) for delay in delays]
        windows = {w.key: w for w in found if w is not None and not _past_the_grid(spec, w, now)}
        if not windows:
            return dg.SkipReason("no window closed since the last report")
        return [
            _request(w, f"{spec.name}:watch:{now:%Y-%m-%dT%H:%M}:{w.key}", "watch")
            for w in windows.values()
        ]

    return watch


def _past_the_grid(spec: ModelSpec, window: Window, now) -> bool:
    """Whether a window is old news: the grid has an end, and it lies well behind."""
    if window.end is None or window.start is None:
        return False
    return now - window.end > spec.columns.label_delay + 2 * (window.end - window.start)


def _request(window: Window, run_key: str, trigger: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key,
        partition_key=None if window.start is None else window.key,
        tags={TRIGGER_TAG: trigger},
    )
