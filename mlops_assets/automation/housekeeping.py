"""What the platform does for all models: the prediction log moves into its database."""

from datetime import timedelta

import dagster as dg

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.resources import Platform

CRON = "15 * * * *"
KEEP = timedelta(days=1)


def housekeeping_definitions() -> dg.Definitions:
    """``compact_prediction_log``, and its schedule, every hour."""

    @dg.op
    def compact_logs(context: dg.OpExecutionContext, platform: Platform) -> None:
        from mlops_assets.lifecycle.prediction_log.housekeeping import compact_all

        done = compact_all(platform.settings, platform.now(), KEEP)
        for kind, compaction in done.items():
            context.log.info(
                f"{kind}s: {compaction.rows} stored, {compaction.deleted} segments deleted"
            )
        damaged = [words for compaction in done.values() for words in compaction.damaged]
        if damaged:
            raise EvidenceError(f"damaged segments stay as they are: {'; '.join(damaged)}")

    @dg.job(
        name="compact_prediction_log",
        description="Move predictions and labels from segment files into their database; may run "
        "at any time, and beside the server.",
        executor_def=dg.in_process_executor,
    )
    def job():
        compact_logs()

    schedule = dg.ScheduleDefinition(
        name="compact_prediction_log_hourly",
        job_name=job.name,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return dg.Definitions(jobs=[job], schedules=[schedule])
