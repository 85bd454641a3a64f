"""The retrains of a model, as the rules want them, from Dagster's record of its runs."""

from typing import Any

import dagster as dg

from mlops_assets.assets.keys import REPORT_TAG, REPORT_WINDOW_TAG, TRIGGER_TAG
from mlops_assets.automation.alerts import gate_refusal
from mlops_assets.lifecycle.retrain import TRIGGERS, PastRetrain

MOST = 100
UNFINISHED = [
    status
    for status in dg.DagsterRunStatus
    if status
    not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
]


def past_retrains(instance: dg.DagsterInstance, job: str, report_id: str) -> list[PastRetrain]:
    """The newest retrains, all under way, and whatever a report asked for.

    A few questions, each by index, so that runs by hand (a backfill of history) don't crowd out
    those that the weekly budget counts.
    """
    asked = [*TRIGGERS, "schedule"]
    filters = [
        dg.RunsFilter(job_name=job, tags={TRIGGER_TAG: asked}),
        dg.RunsFilter(job_name=job, statuses=UNFINISHED),
        dg.RunsFilter(job_name=job, tags={REPORT_TAG: report_id}),
        dg.RunsFilter(job_name=job),
    ]
    records = {
        record.dagster_run.run_id: record
        for each in filters
        for record in instance.get_run_records(each, limit=MOST)
    }
    return [_past_retrain(instance, record) for record in records.values()]


def _past_retrain(instance: dg.DagsterInstance, record: Any) -> PastRetrain:
    run = record.dagster_run
    trigger = run.tags.get(TRIGGER_TAG)
    if trigger is None and "dagster/schedule_name" in run.tags:
        trigger = "schedule"
    return PastRetrain(
        at=record.create_timestamp,
        trigger=trigger or "manual",
        report_id=run.tags.get(REPORT_TAG),
        window=run.tags.get(REPORT_WINDOW_TAG),
        state=_state(instance, run),
        number=record.storage_id,
    )


def _state(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Any:
    if not run.is_finished:
        return "running"
    if run.is_success:
        return "succeeded"
    refused = run.tags.get(TRIGGER_TAG) in TRIGGERS and gate_refusal(instance, run.run_id)
    return "rejected" if refused else "failed"
