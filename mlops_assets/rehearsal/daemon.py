"""Dagster's daemon as of a moment: ticks of a model's own schedules and sensors, and their runs."""

from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SCHEDULE_NAME_TAG, SENSOR_NAME_TAG

from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.runs import run_job
from mlops_assets.rehearsal.state import Asked, Tick


class Daemon:
    """Asks the schedules and sensors of a copy, and runs what they ask for, in this process.

    Parameters
    ----------
    copy : Copy
    instance : dagster.DagsterInstance
        The copy's.
    """

    def __init__(self, copy: Copy, instance: dg.DagsterInstance):
        self._copy = copy
        self._instance = instance
        self._definitions: tuple[datetime, dg.Definitions] | None = None

    def schedules(self) -> dict[str, tuple[str, str]]:
        """Cron and timezone of each schedule of the model."""
        found = self._copy.own.schedules or []
        return {
            s.name: (str(s.cron_schedule), s.execution_timezone or "UTC")
            for s in found
            if isinstance(s, dg.ScheduleDefinition)
        }

    def sensors(self) -> list[str]:
        """The model's sensors that read what its runs reported."""
        found = self._copy.own.sensors or []
        return [s.name for s in found if type(s) is dg.SensorDefinition]

    def schedule(self, name: str, now: datetime) -> Tick:
        """Evaluate a schedule at its time."""
        definitions = self._as_of(now)
        schedule = definitions.resolve_schedule_def(name)
        with dg.build_schedule_context(
            instance=self._instance,
            scheduled_execution_time=now,
            repository_def=definitions.get_repository_def(),
            resources=self._copy.resources(now),
        ) as context:
            data = schedule.evaluate_tick(context)
        asked = self._asked(data.run_requests, schedule.job_name, {SCHEDULE_NAME_TAG: name})
        return Tick(at=now, by=name, asked=asked, words=data.skip_message or "")

    def sensor(self, name: str, now: datetime, cursor: str | None) -> tuple[Tick, str | None]:
        """Evaluate a sensor at a moment; its new cursor."""
        definitions = self._as_of(now)
        sensor = definitions.resolve_sensor_def(name)
        with dg.build_sensor_context(
            instance=self._instance,
            cursor=cursor,
            definitions=definitions,
            resources=self._copy.resources(now),
        ) as context:
            data = sensor.evaluate_tick(context)
        asked = self._asked(data.run_requests, sensor.job_name, {SENSOR_NAME_TAG: name})
        tick = Tick(at=now, by=name, asked=asked, words=data.skip_message or "")
        return tick, data.cursor

    def run(self, asked: Asked, now: datetime, only: list[dg.AssetKey] | None = None) -> None:
        """Run what was asked for, once for each run key, whatever comes of it."""
        known = dg.RunsFilter(job_name=asked.job, tags={RUN_KEY_TAG: asked.run_key})
        if self._instance.get_runs(known, limit=1):
            return
        run_job(
            self._as_of(now),
            self._instance,
            asked.job,
            now,
            asked.tags | {RUN_KEY_TAG: asked.run_key},
            window=None if asked.window == UNPARTITIONED else asked.window,
            only=only,
        )

    def _as_of(self, now: datetime) -> dg.Definitions:
        if self._definitions is None or self._definitions[0] != now:
            self._definitions = now, self._copy.definitions(now)
        return self._definitions[1]

    def _asked(self, requests: Any, job: str | None, tags: dict[str, str]) -> list[Asked]:
        return [
            Asked(
                job=request.job_name or str(job),
                run_key=request.run_key,
                window=request.partition_key or UNPARTITIONED,
                tags={
                    k: v for k, v in request.tags.items() if not k.startswith("dagster/partition")
                }
                | tags,
            )
            for request in requests or []
        ]
