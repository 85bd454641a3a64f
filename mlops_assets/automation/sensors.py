"""Sensors that ask for a retrain when a report finds drift or decay."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.assets.keys import (
    DRIFT_REPORT,
    PERFORMANCE_REPORT,
    REPORT_TAG,
    REPORT_WINDOW_TAG,
    TRIGGER_TAG,
    key,
)
from mlops_assets.automation.jobs import LIFECYCLE
from mlops_assets.automation.retired import skip_retired
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.lifecycle.retrain import PastRetrain, Request, Skip, decide
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.resources import Notifier, Platform

REPORTS = {"drift": DRIFT_REPORT, "decay": PERFORMANCE_REPORT}
CALM = {"stable", "healthy", "insufficient_data"}
AT_ONCE = 20


def retrain_sensors(spec: ModelSpec, jobs: dict[str, Any]) -> list[dg.SensorDefinition]:
    """``<model>_on_drift`` and ``<model>_on_decay``.

    Both tell people what a report found; they ask for a retrain where ``retrain.on`` says so.
    """
    return [_sensor(spec, jobs[LIFECYCLE], trigger) for trigger in REPORTS]


@dataclass(frozen=True)
class _Found:
    """A report's materialization, as the sensor reads it from the event log."""

    storage_id: int
    run_id: str
    window: str
    verdict: str

    @property
    def report_id(self) -> str:
        """What the report is known by in the tags of the runs it asked for."""
        return str(self.storage_id)


def _sensor(spec: ModelSpec, job, trigger: str) -> dg.SensorDefinition:
    acts = trigger in spec.retrain.on

    @dg.sensor(
        name=f"{spec.name}_on_{trigger}",
        job=job,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reads each new {REPORTS[trigger]} once; "
        + ("asks for a retrain and alerts." if acts else "alerts."),
    )
    def retrain_sensor(context: dg.SensorEvaluationContext, notifier: Notifier, platform: Platform):
        if skip := skip_retired(platform, spec.name):
            return skip
        asset = key(spec, REPORTS[trigger])
        now = platform.now()
        skipped: list[str] = []
        for found in _new_reports(context, asset):
            if not _run_is_over(context.instance, found.run_id):
                skipped.append(f"the run that reports on {found.window} is still under way")
                break
            context.update_cursor(str(found.storage_id))
            if not _run_succeeded(context.instance, found.run_id):
                skipped.append(f"{found.window}: the run that reports on it failed")
                continue
            outcome = decide(
                spec,
                now=now,
                window_key=found.window,
                report_id=found.report_id,
                verdict=found.verdict,
                reason=f"{REPORTS[trigger]} of window {found.window}",
                past=_past(context.instance, job.name),
            )
            if found.verdict not in CALM:
                _alert(context, spec, trigger, found, outcome, notifier, platform)
            if isinstance(outcome, Request):
                return _run_request(spec, outcome, trigger, found, now)
            skipped.append(f"{found.window}: {outcome.reason}")
        return dg.SkipReason("; ".join(skipped) or f"no new {REPORTS[trigger]}")

    return retrain_sensor


def _new_reports(context: dg.SensorEvaluationContext, asset: dg.AssetKey) -> Iterator[_Found]:
    """Reports since the cursor, oldest first."""
    after = int(context.cursor) if context.cursor else None
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, after_storage_id=after),
        limit=AT_ONCE,
        ascending=True,
    ).records
    for record in records:
        event = record.asset_materialization
        if event is None:
            continue
        verdict = event.metadata["verdict"].value
        yield _Found(record.storage_id, record.run_id, event.partition or "all", str(verdict))


def _run_is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    # A report is written before its run ends, and the run may still fail.
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _run_succeeded(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_success


def _past(instance: dg.DagsterInstance, job_name: str) -> list[PastRetrain]:
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name), limit=100)
    return [_past_retrain(record) for record in records]


def _past_retrain(record: Any) -> PastRetrain:
    run = record.dagster_run
    state: Any = "running" if not run.is_finished else "succeeded" if run.is_success else "failed"
    trigger = run.tags.get(TRIGGER_TAG)
    if trigger is None and "dagster/schedule_name" in run.tags:
        trigger = "schedule"
    return PastRetrain(
        at=record.create_timestamp,
        trigger=trigger or "manual",
        report_id=run.tags.get(REPORT_TAG),
        window=run.tags.get(REPORT_WINDOW_TAG),
        state=state,
    )


def _run_request(
    spec: ModelSpec, request: Request, trigger: str, found: _Found, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """Train on the newest window with complete labels, whichever window gave the alarm."""
    window = spec.grid.newest_complete(now, spec.columns.label_delay)
    if window is None:
        return dg.SkipReason(f"{request.reason}; no window has complete labels yet")
    return dg.RunRequest(
        run_key=request.run_key,
        partition_key=None if window.start is None else window.key,
        tags={
            TRIGGER_TAG: trigger,
            REPORT_TAG: found.report_id,
            REPORT_WINDOW_TAG: found.window,
        },
    )


def _alert(
    context: dg.SensorEvaluationContext,
    spec: ModelSpec,
    trigger: str,
    found: _Found,
    outcome: Request | Skip,
    notifier: Notifier,
    platform: Platform,
) -> None:
    told = "a retrain is asked for" if isinstance(outcome, Request) else outcome.reason
    alert = Alert(
        model=spec.name,
        kind=trigger,
        message=f"{REPORTS[trigger]} of window {found.window}: {found.verdict}; {told}",
        link=f"{platform.settings.dagster_url}/runs/{found.run_id}",
    )
    notifier.send(alert, spec.alerts, context.log)
