"""Silence is an alarm: a report that is missing, a run that never ends, traffic that stopped."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from mlops_assets.assets.keys import (
    DRIFT_REPORT,
    PERFORMANCE_REPORT,
    key,
    models_of,
    stored_as,
    words_for,
)
from mlops_assets.automation.jobs import MONITORING
from mlops_assets.automation.past_retrains import UNFINISHED
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.lifecycle.overdue import Due, due, gone_quiet, serves_since
from mlops_assets.lifecycle.spec import ModelSpec, load_specs
from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.resources import Notifier, Platform

SECONDS = 300
STUCK_AFTER = timedelta(days=1)
# Of all windows looked at: each is reported on twice, and again when somebody wants it.
MOST_REPORTS = 200


def overdue_sensor(defs: Path) -> dg.SensorDefinition:
    """``alert_on_overdue``: one for all models.

    Parameters
    ----------
    defs : Path
        Folder of the declarations.
    """

    @dg.sensor(
        name="alert_on_overdue",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people once of each window that no drift_report or performance_report "
        "was made on in time, whyever; of traffic that stopped; of runs that never end.",
    )
    def alert_on_overdue(
        context: dg.SensorEvaluationContext, notifier: Notifier, platform: Platform
    ):
        now = platform.now()
        specs = {name: spec for name, (spec, _) in load_specs(defs).items()}
        found = 0
        for spec in specs.values():
            for alert in _of_model(context.instance, platform, spec, now):
                notifier.send(alert, spec.alerts, context.log)
                found += 1
        for alert in _stuck(context.instance, platform, now):
            of = specs.get(alert.model)
            notifier.send(alert, of.alerts if of else ["console"], context.log)
            found += 1
        return dg.SkipReason(
            f"{len(specs)} models: {found or 'nothing'} overdue"
            + (", each told once; `mlops-assets alerts` lists them" if found else "")
        )

    return alert_on_overdue


def _of_model(
    instance: dg.DagsterInstance, platform: Platform, spec: ModelSpec, now: datetime
) -> Iterator[Alert]:
    serving = serves_since(platform.journal.entries(spec.name))
    if serving is None:
        return
    for name, delay in (
        (DRIFT_REPORT, timedelta(0)),
        (PERFORMANCE_REPORT, spec.columns.label_delay),
    ):
        wanted = due(spec, serving, now, delay)
        made = _made(instance, key(spec, name), wanted)
        for each in wanted:
            if each.window.key not in made:
                yield _overdue(instance, platform, spec, name, each)
        if name == DRIFT_REPORT:
            yield from _quiet(platform, spec, [(w, made[w]) for w in sorted(made)])


def _made(
    instance: dg.DagsterInstance, asset: dg.AssetKey, wanted: list[Due]
) -> dict[str, dict[str, object]]:
    """The windows with a report that counts, and its metadata.

    One counts that a run which ended well made, or makes now, after it could be made: before the
    labels came, a performance report says nothing.
    """
    if not wanted:
        return {}
    since = {each.window.key: each.since.timestamp() for each in wanted}
    partitions = [each.window.key for each in wanted if stored_as(each.window)]
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=asset,
            asset_partitions=partitions or None,
            after_timestamp=min(since.values()),
        ),
        limit=MOST_REPORTS,
    ).records
    made: dict[str, dict[str, object]] = {}
    for record in records:
        event, window = record.asset_materialization, record.partition_key or UNPARTITIONED
        if event is None or window in made or record.timestamp < since[window]:
            continue
        if "verdict" not in event.metadata:  # marked by hand: nobody looked
            continue
        run = instance.get_run_by_id(record.run_id)
        if run is None or run.is_success or not run.is_finished:
            made[window] = {name: value.value for name, value in event.metadata.items()}
    return made


def _overdue(
    instance: dg.DagsterInstance, platform: Platform, spec: ModelSpec, name: str, each: Due
) -> Alert:
    job = f"{spec.name}_{MONITORING}"
    partition = stored_as(each.window)
    if partition is None:
        asked = dg.RunsFilter(job_name=job, created_after=each.since)
        what = f"{name} since {each.since:%Y-%m-%d}, and one is due every week"
    else:
        asked = dg.RunsFilter(job_name=job, tags={"dagster/partition": partition})
        what = f"{name} of window {partition}, which could be made since "
        what += f"{each.since:%Y-%m-%d %H:%M}"
    runs = instance.get_runs(asked, limit=1)
    if runs:
        why, place = f"its last run is {runs[0].status.value}", f"runs/{runs[0].run_id}"
    else:
        schedule = f"{spec.name}_watch"
        why, place = f"no run was asked for: is the schedule {schedule} on?", f"jobs/{job}"
    return Alert(
        model=spec.name,
        kind="overdue",
        message=f"no {what}; {why}",
        link=f"{platform.settings.dagster_url}/{place}",
        subject=f"{name} {partition or each.since.date()}",
        once=True,
    )


def _quiet(
    platform: Platform, spec: ModelSpec, made: list[tuple[str, dict[str, object]]]
) -> Iterator[Alert]:
    rows = [(window, int(str(metadata.get("rows", 0)))) for window, metadata in made]
    window = gone_quiet(rows, spec.monitoring.drift.min_rows)
    if window is not None:
        yield Alert(
            model=spec.name,
            kind="traffic",
            message=f"nobody asked for a prediction in window {window}, and before it many did: "
            f"does traffic reach {platform.settings.endpoint}?",
            link=f"{platform.settings.dagster_url}/assets/{spec.name}/{DRIFT_REPORT}",
            subject=window,
            once=True,
        )


def _stuck(instance: dg.DagsterInstance, platform: Platform, now: datetime) -> Iterator[Alert]:
    """Runs that nobody waits for any more hold back the sensors and the next training."""
    old = dg.RunsFilter(statuses=UNFINISHED, created_before=now - STUCK_AFTER)
    for run in instance.get_runs(old, limit=50):
        for model in sorted(models_of(run)):
            yield Alert(
                model=model,
                kind="overdue",
                message=f"a run of {words_for(run)} is {run.status.value} for more than a day, "
                "and what comes after it waits; if its process is gone, terminate it in the UI",
                link=f"{platform.settings.dagster_url}/runs/{run.run_id}",
                subject=run.run_id,
                once=True,
            )
