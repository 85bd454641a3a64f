"""Alerts about runs: a contract broke, a gate refused, a process died."""

import dagster as dg

from mlops_assets.assets.keys import ALERTS_TAG, MODEL_TAG
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.resources import Notifier, Platform


def failure_sensor() -> dg.SensorDefinition:
    """A sensor that tells people when a run fails, by the channels in the run's tags."""

    @dg.run_failure_sensor(
        name="alert_on_failure",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=15,
        description="Tells a model's channels that a run failed, and why: a broken contract, "
        "a gate that refused, a crash.",
    )
    def alert_on_failure(
        context: dg.RunFailureSensorContext, notifier: Notifier, platform: Platform
    ):
        run = context.dagster_run
        model = run.tags.get(MODEL_TAG, run.job_name)
        notifier.send(
            Alert(
                model=model,
                kind="failure",
                message=f"{run.job_name} failed: {_first_error(context)}",
                link=f"{platform.settings.dagster_url}/runs/{run.run_id}",
            ),
            run.tags.get(ALERTS_TAG, "console").split(","),
            context.log,
        )

    return alert_on_failure


def _first_error(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        data = event.event_specific_data
        error = getattr(data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            return f"step {event.step_key}: {error.message.strip()}"
    return context.failure_event.message or "no step failed; the run's process may have died"
