"""Sensors that ask for a retrain when the advice on a report is to train again."""

from datetime import datetime
from typing import Any, Literal

import dagster as dg

from mlops_assets.assets.keys import (
    ADVICE_TAG,
    REPORT_TAG,
    REPORT_WINDOW_TAG,
    TRIGGER_TAG,
    key,
)
from mlops_assets.automation import findings
from mlops_assets.automation.findings import REPORTS, Reported
from mlops_assets.automation.jobs import LIFECYCLE
from mlops_assets.automation.past_retrains import past_retrains
from mlops_assets.automation.retired import skip_retired
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.lifecycle.retrain import Finding, PastRetrain, Request, Skip, Trigger, decide
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.resources import Notifier, Platform, ReportIOManager


def retrain_sensors(spec: ModelSpec, jobs: dict[str, Any]) -> list[dg.SensorDefinition]:
    """``<model>_on_drift`` and ``<model>_on_decay``.

    Each reads its reports with the advice on them: the second answers for a window where labels
    judged it, the first where they did not.
    """
    return [_sensor(spec, jobs[LIFECYCLE], trigger) for trigger in REPORTS]


def _sensor(spec: ModelSpec, job, trigger: Trigger) -> dg.SensorDefinition:
    acts = trigger in spec.retrain.on

    @dg.sensor(
        name=f"{spec.name}_on_{trigger}",
        job=job,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reads each new {REPORTS[trigger]} once; "
        + ("asks for a retrain and alerts." if acts else "alerts."),
    )
    def retrain_sensor(
        context: dg.SensorEvaluationContext,
        notifier: Notifier,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
    ):
        if skip := skip_retired(platform, spec.name):
            return skip
        asset, instance, now = key(spec, REPORTS[trigger]), context.instance, platform.now()
        skipped: list[str] = []
        for reported in findings.new_reports(instance, asset, context.cursor):
            if waits := findings.unsettled(instance, spec, reported):
                skipped.append(waits)
                break
            context.update_cursor(reported.report_id)
            if reason := findings.void(instance, asset, reported):
                skipped.append(f"{reported.window}: {reason}")
                continue
            found = findings.finding(instance, reports, spec, trigger, reported)
            past = past_retrains(instance, job.name, reported.report_id) if found.alarming else []
            outcome = _with_a_window(spec, now, decide(spec, now, found, past))
            _tell(context, spec, reported, found, outcome, past, notifier, platform)
            if isinstance(outcome, Request):
                return _run_request(spec, outcome, found, now)
            skipped.append(f"{found.window}: {outcome.reason}")
        return dg.SkipReason("; ".join(skipped) or f"no new {REPORTS[trigger]}")

    return retrain_sensor


def _with_a_window(spec: ModelSpec, now: datetime, outcome: Request | Skip) -> Request | Skip:
    if isinstance(outcome, Skip) or spec.grid.newest_complete(now, spec.columns.label_delay):
        return outcome
    return Skip(f"{outcome.reason}; no window has complete labels yet", "alarm")


def _run_request(spec: ModelSpec, request: Request, found: Finding, now: datetime) -> dg.RunRequest:
    """Train on the newest window with complete labels, whichever window gave the alarm."""
    window = spec.grid.newest_complete(now, spec.columns.label_delay)
    assert window is not None
    return dg.RunRequest(
        run_key=request.run_key,
        partition_key=None if window.start is None else window.key,
        tags={
            TRIGGER_TAG: found.trigger,
            REPORT_TAG: found.report_id,
            REPORT_WINDOW_TAG: found.window,
            ADVICE_TAG: request.action,
        },
    )


def _tell(
    context: dg.SensorEvaluationContext,
    spec: ModelSpec,
    reported: Reported,
    found: Finding,
    outcome: Request | Skip,
    past: list[PastRetrain],
    notifier: Notifier,
    platform: Platform,
) -> None:
    """Call people where the outcome wants it; what is only a warning goes to the sensor's log."""
    what = f"{REPORTS[found.trigger]} of window {found.window}: {found}"
    if isinstance(outcome, Skip) and outcome.tells is None:
        if found.alarming and found.mine:
            context.log.warning(f"{what}; {outcome.reason}")
        return
    kind: Literal["alarm", "data", "escalation"] = "alarm"
    told = outcome.reason
    if isinstance(outcome, Request):
        told = f"a retrain is asked for ({outcome.action})"
    elif outcome.tells is not None:
        kind = outcome.tells
    alert = Alert(
        model=spec.name,
        kind=found.trigger if kind == "alarm" else kind,
        message=f"{what}; {told}",
        link=f"{platform.settings.dagster_url}/runs/{reported.run_id}",
        subject=_subject(kind, reported, found, isinstance(outcome, Request), past),
        # However often a sensor is evaluated again on the same report.
        once=True,
    )
    notifier.send(alert, spec.alerts, context.log)


def _subject(
    kind: str, reported: Reported, found: Finding, asked: bool, past: list[PastRetrain]
) -> str:
    """What an alert is about: the next one like it is the same, and is not sent."""
    # Without windows every report has the same. Not the report's id: another event log, as after
    # a move to PostgreSQL, counts from 1 again.
    about = reported.run_id if found.window == UNPARTITIONED else found.window
    if kind == "escalation":
        # One for as long as no other retrain is refused.
        return max((p.at.isoformat() for p in past if p.state == "rejected"), default=about)
    if kind == "data":
        return about
    return f"{about}: {found.verdict}, {found.action}, {'asked' if asked else 'not asked'}"
