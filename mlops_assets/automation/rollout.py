"""Rollouts by themselves: a sensor that decides, and the jobs that move on and take back."""

import dagster as dg

from mlops_assets.assets import cards
from mlops_assets.assets.keys import ALERTS_TAG, MODEL_TAG, TRIGGER_TAG
from mlops_assets.assets.rollout_state import materialize
from mlops_assets.automation.retired import skip_retired
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.lifecycle.rollout.strategies import STRATEGIES
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.resources import Notifier, Platform, ReportIOManager

SECONDS = 30
RETRY_MINUTES = 10


def rollout_jobs(spec: ModelSpec) -> list[dg.JobDefinition]:
    """``<model>_rollback``, and where a strategy compares, ``<model>_rollout``."""
    return [_rollback_job(spec), *([_rollout_job(spec)] if _compares(spec) else [])]


def rollout_sensors(spec: ModelSpec) -> list[dg.SensorDefinition]:
    """``<model>_on_rollout``, where a strategy compares."""
    return [_rollout_sensor(spec, f"{spec.name}_rollout")] if _compares(spec) else []


def _compares(spec: ModelSpec) -> bool:
    return STRATEGIES[spec.deployment.strategy].watched


def _tags(spec: ModelSpec) -> dict[str, str]:
    return {MODEL_TAG: spec.name, ALERTS_TAG: ",".join(spec.alerts)}


def _rollback_job(spec: ModelSpec) -> dg.JobDefinition:
    @dg.op(name=f"{spec.name}__rollback")
    def rollback(
        context: dg.OpExecutionContext,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
    ) -> None:
        from mlops_assets.lifecycle.rollout import promotion
        from mlops_assets.lifecycle.rollout.history import ABORT

        entry = promotion.rollback(
            platform.registry,
            platform.journal,
            spec.name,
            who=f"dagster run {context.run.run_id}",
            why=f"job {spec.name}_rollback",
        )
        gone = entry.version if entry.action == ABORT else entry.champion_before
        context.log.info(f"v{gone} is taken back")
        window = platform.registry.version(spec.name, entry.version).tags.get("window")
        materialize(context, platform, reports, window or UNPARTITIONED, entry)
        cards.renew(context, platform, reports, spec, entry)

    @dg.job(
        name=f"{spec.name}_rollback",
        description="Take the newest change of what serves back: a version on its way, or else "
        "the champion. Launch it as it is.",
        tags=_tags(spec),
        executor_def=dg.in_process_executor,
    )
    def job():
        rollback()

    return job


def _rollout_job(spec: ModelSpec) -> dg.JobDefinition:
    @dg.op(name=f"{spec.name}__rollout")
    def rollout(
        context: dg.OpExecutionContext,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
    ) -> None:
        from mlops_assets.lifecycle.rollout.driver import carry, look
        from mlops_assets.lifecycle.rollout.history import last_step

        seen = look(
            spec,
            platform.journal,
            platform.prediction_log,
            platform.feedback_log,
            platform.now(),
        )
        if seen is None:
            context.log.info("no rollout was ever begun: nothing to do")
            return
        context.log.info(f"{seen.decision.kind}: {seen.decision.reason}")
        if seen.rollout.ended is None:
            who = f"dagster run {context.run.run_id}"
            carry(platform.registry, platform.journal, seen, who)
        # What the version was brought to, by this run or by whoever was before it.
        rollout = seen.rollout
        entry = last_step(platform.journal, spec.name, rollout.version)
        materialize(context, platform, reports, rollout.window, entry, seen.decision)
        if seen.decision.kind in ("advance", "roll_back"):
            cards.renew(context, platform, reports, spec, entry)

    @dg.job(
        name=f"{spec.name}_rollout",
        description="Look at the version on its way to its users, and move it on, hold it or take "
        "it back on the evidence so far.",
        tags=_tags(spec),
        executor_def=dg.in_process_executor,
    )
    def job():
        rollout()

    return job


def _rollout_sensor(spec: ModelSpec, job_name: str) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{spec.name}_on_rollout",
        # By name: Dagster would make a sensor that holds a job anew, by a beta parameter.
        job_name=job_name,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Looks at a version on its way to its users ({spec.deployment.strategy}) and "
        "moves it on or takes it back; each look is valid, however many there are.",
    )
    def on_rollout(context: dg.SensorEvaluationContext, notifier: Notifier, platform: Platform):
        from mlops_assets.lifecycle.rollout.driver import carry, look
        from mlops_assets.lifecycle.rollout.history import under_way

        if skip := skip_retired(platform, spec.name):
            return skip
        if under_way(platform.journal, spec.name) is None:
            return dg.SkipReason("no version is on its way")
        now = platform.now()
        seen = look(spec, platform.journal, platform.prediction_log, platform.feedback_log, now)
        if seen is None or seen.rollout.ended is not None:
            return dg.SkipReason("the rollout ended a moment ago")
        rollout, decision = seen.rollout, seen.decision
        if decision.kind == "hold":
            return dg.SkipReason(f"v{rollout.version} holds: {decision.reason}")
        step = f"v{rollout.version} at {rollout.share:.4g}: {decision.kind}"
        if decision.kind == "roll_back":
            # At once: a run may wait in the queue behind a training. The run then shows it.
            carry(platform.registry, platform.journal, seen, f"sensor {spec.name}_on_rollout")
        if decision.kind != "advance" and context.cursor != step:
            alert = Alert(
                model=spec.name,
                kind="rollout",
                message=f"{step}; {decision.reason}",
                link=f"{platform.settings.dagster_url}/assets/{spec.name}/deployment",
                subject=step,
            )
            notifier.send(alert, spec.alerts, context.log)
        if decision.kind == "more_traffic" and context.cursor == step:
            return dg.SkipReason(f"{step}, as people were told; {decision.reason}")
        context.update_cursor(step)
        attempt = int(now.timestamp() // (60 * RETRY_MINUTES))
        return dg.RunRequest(
            run_key=f"{spec.name}:rollout:{step}:{attempt}", tags={TRIGGER_TAG: "rollout"}
        )

    return on_rollout
