"""Alerts about runs, and the sensor that delivers whatever could not be delivered at once."""

import logging
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from mlops_assets.assets.evaluation_report import GATE
from mlops_assets.assets.keys import ALERTS_TAG, models_of, words_for
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.resources import Notifier, Platform

DELIVERY_SECONDS = 15


def failure_sensor(defs: Path) -> dg.SensorDefinition:
    """A sensor that tells people when a run fails, by its model's channels.

    Parameters
    ----------
    defs : Path
        Folder of the declarations: of a run that was launched without its job they tell the
        channels.
    """

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
        refusal = gate_refusal(context.instance, run.run_id)
        what = words_for(run)
        for model, channels in _told(run, defs, context.log):
            alert = Alert(
                model=model,
                kind="failure" if refusal is None else "rejected",
                message=f"{what} failed: {refusal or _first_error(context)}",
                link=f"{platform.settings.dagster_url}/runs/{run.run_id}",
                # A backfill that fails window by window is one thing to look at.
                subject=f"{what} {_failed_step(context)}",
            )
            notifier.send(alert, channels, context.log)

    return alert_on_failure


def _told(run: dg.DagsterRun, defs: Path, log: logging.Logger) -> Iterator[tuple[str, list[str]]]:
    """The models that a run is about, each with its channels."""
    models = models_of(run)
    if ALERTS_TAG in run.tags or not models:
        channels = run.tags.get(ALERTS_TAG, "console").split(",")
        yield from ((model, channels) for model in models or {run.job_name})
        return
    try:
        specs = load_specs(defs)
    except DeclarationError as error:
        # Edited since it was loaded: that is no reason to tell nobody.
        log.warning("the channels are not known: %s", error)
        specs = {}
    for model in sorted(models):
        yield model, specs[model][0].alerts if model in specs else ["console"]


def gate_refusal(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Why the gate refused what a run trained; None where it did not."""
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if evaluation.check_name == GATE and not evaluation.passed:
            return f"the gate refused: {evaluation.description or 'it gave no reason'}"
    return None


def delivery_sensor() -> dg.SensorDefinition:
    """``deliver_alerts``: one for all models and channels."""

    @dg.sensor(
        name="deliver_alerts",
        minimum_interval_seconds=DELIVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Delivers the alerts that could not be delivered when they were raised, less "
        "and less often while a channel is down; what a channel's max_per_hour held back leaves "
        "as one digest. `mlops-assets alerts` lists them.",
    )
    def deliver_alerts(context: dg.SensorEvaluationContext, platform: Platform):
        from mlops_assets.lifecycle.alerts.delivery import deliver_all

        rounds = deliver_all(platform.outbox, platform.settings.alerts)
        for each in rounds:
            if each.error:
                context.log.error(f"alerts not delivered: {each}")
        return dg.SkipReason("; ".join(map(str, rounds)) or "no alert waits")

    return deliver_alerts


def _failed_step(context: dg.RunFailureSensorContext) -> str:
    return next((str(event.step_key) for event in context.get_step_failure_events()), "")


def _first_error(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        data = event.event_specific_data
        error = getattr(data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            return f"step {event.step_key}: {error.message.strip()}"
    return context.failure_event.message or "no step failed; the run's process may have died"
