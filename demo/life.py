"""One model's life: train, verdict, deploy, live traffic, alarm, retrain."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from demo.dagster_client import Dagster
from demo.processes import DemoError, Processes, get
from demo.story import Story
from demo.traffic import in_inches, replay
from mlops_assets.lifecycle.reports import EvaluationReport, PerformanceReport
from mlops_assets.lifecycle.spec import ModelSpec

CALM = ("stable", "healthy", "insufficient_data")
NAMED = 3


@dataclass(frozen=True)
class Windows:
    """The windows of a life; all None for a model without windows.

    Parameters
    ----------
    first : str or None
        Trained for, and deployed.
    healthy, shifted : str or None
        Answered by the first champion. The world changes with the second one's first day.
    last : str or None
        What a sensor trains on: the newest window with complete labels.
    """

    first: str | None = None
    healthy: str | None = None
    shifted: str | None = None
    last: str | None = None

    @classmethod
    def of(cls, spec: ModelSpec, now: datetime) -> "Windows":
        """The last four windows whose labels are complete."""
        if spec.cadence == "none":
            return cls()
        complete = [w.key for w in spec.grid.complete(now, spec.columns.label_delay)]
        fewest = spec.training.min_windows or spec.training.windows
        span = fewest + spec.hold_out_windows
        if len(complete) < span + 3:
            raise DemoError(f"{spec.name}: {len(complete)} complete windows, {span + 3} are needed")
        return cls(*complete[-4:])


def shift_switch(spec: ModelSpec, windows: Windows) -> dict[str, str]:
    """The environment variable by which a shipped source lets its world change."""
    if windows.shifted is None:
        return {}
    return {f"MLOPS_{spec.name.upper()}_SHIFT_FROM": windows.shifted}


@dataclass(frozen=True)
class Life:
    """A model that lives on running processes.

    Parameters
    ----------
    spec : ModelSpec
    windows : Windows
    story : Story
    processes : Processes
    server, dagster_url : str
    """

    spec: ModelSpec
    windows: Windows
    story: Story
    processes: Processes
    server: str
    dagster_url: str

    def live(self) -> bool:
        """All of it, in order; whether the retrain brought a new champion.

        Raises
        ------
        DemoError
            When something did not happen.
        """
        name, windows = self.spec.name, self.windows
        self._fill(windows.first)
        self.processes.wait_for("serve", f"{self.server}/v2/health/ready")
        self.processes.wait_for("dagster", f"{self.dagster_url}/server_info")
        # One client a life: it is of one thread.
        dagster = Dagster(self.dagster_url, self.processes)
        self._doing("training, judging, deploying")
        run = dagster.launch(f"{name}_lifecycle", windows.first)
        self._tell_verdict(dagster, run, "train")
        self._fill(windows.last)
        if windows.first is None:
            self._watch_requests(dagster)
        else:
            self._watch_windows(dagster)
        self._doing("waiting for a sensor")
        run, trigger = dagster.wait_for_trigger(f"{name}_lifecycle")
        self._tell(f"the sensor {name}_on_{trigger} asked for a retrain, by itself")
        self._doing("retraining, judging challenger against champion")
        new = self._tell_retrain(dagster, run)
        self.story.done(name)
        return new

    def roll_back(self) -> None:
        """One command, and the time until the server answers with the version before."""
        before = self._served()
        self._doing("rolling back")
        command = [sys.executable, "-m", "mlops_assets.cli", "rollback", self.spec.name]
        command += ["--why", "demo"]
        done = subprocess.run(
            command, env=self.processes.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"rollback failed: {done.stderr}")
        self.processes.wait("the rollback", lambda: self._served() != before, 15, "serve")
        self._tell(f"to show it, rolled back by one command: v{self._served()} answers again")
        self._keep("serves", f"v{self._served()}, rolled back from v{before}")
        self.story.done(self.spec.name)

    def _doing(self, what: str) -> None:
        self.story.doing(what, self.spec.name)

    def _tell(self, what: str) -> None:
        self.story.tell(self.spec.name, what)

    def _keep(self, chapter: str, what: str) -> None:
        self.story.keep(self.spec.name, chapter, what)

    def _served(self) -> int:
        return get(f"{self.server}/v2/models/{self.spec.name}")["version"]

    def _fill(self, window: str | None) -> None:
        """Materialize what a training for a window reads."""
        if window is None:
            return
        self._doing(f"reading, checking and transforming the data up to {window}")
        name = self.spec.name
        command = [sys.executable, "-m", "mlops_assets.cli", "backfill", name, "--window", window]
        log = self.processes.home / "logs" / f"backfill-{name}.log"
        if self.processes.run(command, log):
            raise DemoError(f"backfill of {name} failed: see {log}")
        self._tell(f"data up to {window} read, checked against the contract, made into features")

    def _tell_verdict(self, dagster: Dagster, run: str, chapter: str) -> None:
        """Wait for a lifecycle run; tell the verdict and what serves."""
        report = self._judged(dagster, run)
        verdict = report.verdict
        metric = next(m for m in report.challenger if m.metric == self.spec.gate.metric)
        reached = f"{metric.metric} {metric.value:.3g} [{metric.low:.3g}, {metric.high:.3g}]"
        self._tell(f"gate: {verdict.verdict}, {reached}; {'; '.join(verdict.reasons)}")
        self._keep(chapter, f"{verdict.verdict}, {metric.metric} {metric.value:.3g}")
        self._tell(f"v{self._served()} answers at {self.server}/predict/{self.spec.name}")
        self._keep("serves", f"v{self._served()}")

    def _tell_retrain(self, dagster: Dagster, run: str) -> bool:
        before = self._served()
        report = self._judged(dagster, run)
        if report.verdict.challenger_version == before:
            self._tell(f"the same data make the same model: v{before} was found, not trained again")
            self._keep("retrain", "the same data, the same model")
            return False
        self._tell_verdict(dagster, run, "retrain")
        return self._served() != before

    def _judged(self, dagster: Dagster, run: str) -> EvaluationReport:
        """Wait for a lifecycle run and read its report."""
        (status,) = dagster.wait([run])
        report = self._newest("evaluation_report")
        if status != "SUCCESS" and report.verdict.accepted:
            log = self.processes.home / "logs" / "dagster.log"
            raise DemoError(f"{self.spec.name}: run {run} ended as {status}: see {log}")
        return report

    def _watch_windows(self, dagster: Dagster) -> None:
        asked = {}
        healthy = (self.windows.healthy, "healthy window")
        shifted = (self.windows.shifted, "its world changes: window")
        for window, kind in (healthy, shifted):
            key = str(window)
            self._doing(f"replaying {key} through HTTP")
            frame = self._stored("validated_features", key)
            asked[key] = replay(self.spec, self.server, frame, f"{key}T00:00:00+00:00")
            self._tell(f"{kind} {key}: {asked[key]:,} predictions over HTTP, all in the log")
        self._keep("live", f"{sum(asked.values()):,} predictions")
        self._doing("reporting on both windows")
        runs = {window: dagster.launch(f"{self.spec.name}_monitoring", window) for window in asked}
        self._finished(dagster, list(runs.values()))
        for window in asked:
            noticed = self._tell_reports(window, window)
        self._expect(noticed)

    def _watch_requests(self, dagster: Dagster) -> None:
        frame = self._stored("validated_features", None)
        changes: dict[str, Callable] = {
            "in centimetres": lambda rows: rows,
            "in inches, by mistake": lambda rows: in_inches(self.spec, rows),
        }
        asked = 0
        for unit, change in changes.items():
            self._doing(f"sending requests {unit}")
            count = replay(self.spec, self.server, change(frame), "")
            self._tell(f"{count:,} requests {unit}, all answers in the log")
            asked += count
            self._doing("reporting on them")
            self._finished(dagster, [dagster.launch(f"{self.spec.name}_monitoring")])
            noticed = self._tell_reports(None, f"what was sent {unit}")
        self._keep("live", f"{asked:,} predictions")
        self._expect(noticed)

    def _finished(self, dagster: Dagster, runs: list[str]) -> None:
        for run, status in zip(runs, dagster.wait(runs), strict=True):
            if status != "SUCCESS":
                raise DemoError(f"{self.spec.name}: run {run} ended as {status}: see `make ui`")

    def _tell_reports(self, window: str | None, about: str) -> list[str]:
        """Tell what both reports say; returns what they alarm about."""
        drift = self._stored("drift_report", window)
        drifted = [c.column for c in drift.columns if c.verdict == "drifted"]
        more = f" and {len(drifted) - NAMED} more" if len(drifted) > NAMED else ""
        where = f" in {', '.join(drifted[:NAMED])}{more}" if drifted else ""
        decay = self._stored("performance_report", window)
        self._tell(f"{about}: drift report: {drift.verdict}{where}")
        self._tell(f"{about}: performance report: {_words(decay)}")
        found = [v for v in (drift.verdict + where, decay.verdict) if not v.startswith(CALM)]
        self._keep("alarm", "; ".join(found))
        return found

    def _expect(self, noticed: list[str]) -> None:
        if not noticed:
            raise DemoError(f"{self.spec.name}: the change of its world went unnoticed")

    def _stored(self, asset: str, window: str | None):
        import dagster as dg

        from mlops_assets.resources import FrameIOManager, ReportIOManager

        manager = ReportIOManager if asset.endswith("_report") else FrameIOManager
        store = manager(base_url=str(self.processes.home / "storage"))
        return store.load(dg.AssetKey([self.spec.name, asset]), window)

    def _newest(self, asset: str):
        from mlops_assets.resources import ReportIOManager

        store = ReportIOManager(base_url=str(self.processes.home / "storage"))
        found = store.newest(self.spec.name, asset)
        if found is None:
            log = self.processes.home / "logs" / "dagster.log"
            raise DemoError(f"{self.spec.name} has no {asset}: see {log}")
        return found[1]


def _words(report: PerformanceReport) -> str:
    realised, expected = report.realised, report.hold_out
    if realised is None or expected is None:
        return f"{report.verdict}, {report.reason}"
    return (
        f"{report.verdict}, {report.metric} {realised.value:.3g} "
        f"[{realised.low:.3g}, {realised.high:.3g}], {expected.value:.3g} on the hold-out"
    )
