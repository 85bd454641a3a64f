"""Runs in this process, as of a moment; those that were cut off never happened."""

from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG

from mlops_assets.rehearsal.run_storage import AS_OF_TAG


def run_job(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    now: datetime,
    tags: dict[str, str],
    *,
    window: str | None = None,
    only: list[dg.AssetKey] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job, or some of its assets, whatever comes of it.

    Raises
    ------
    KeyboardInterrupt
        When somebody stops the process: Dagster would count the run as failed, and a retrain that
        failed is one of the things that a policy acts on.
    """
    result = definitions.resolve_job_def(job).execute_in_process(
        partition_key=window,
        instance=instance,
        raise_on_error=False,
        asset_selection=only,
        tags=tags | {AS_OF_TAG: now.isoformat()},
    )
    run = instance.get_run_by_id(result.run_id)
    if run is not None and _cut_off(run):
        instance.delete_run(run.run_id)
        raise KeyboardInterrupt
    return result


def forget_cut_off(instance: dg.DagsterInstance) -> int:
    """Delete the runs that a crash or a signal left behind; how many there were."""
    left = [run for run in instance.get_runs() if _cut_off(run)]
    for run in left:
        instance.delete_run(run.run_id)
    return len(left)


def _cut_off(run: Any) -> bool:
    reason = run.tags.get(RUN_FAILURE_REASON_TAG)
    return not run.is_finished or reason == RunFailureReason.UNEXPECTED_TERMINATION.value
