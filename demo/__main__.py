"""``make demo``: train, gate, deploy, serve, drift, retrain, promote, roll back."""

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo.dagster_client import Dagster
from demo.processes import HOME, DemoError, Processes, environment, free_port, get, post
from mlops_assets.lifecycle.spec import ModelSpec, load_specs

DEFS = Path(__file__).parent.parent / "mlops_assets" / "defs"
RECOMMENDATION_WEEKS = ("2017-12-04", "2017-12-11")
BATCH = 500
ROWS_A_WEEK = 6_000


@dataclass
class Story:
    """What happened, line by line, for the table at the end."""

    console: Console
    progress: Progress
    started: float = field(default_factory=time.monotonic)
    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def step(self, title: str):
        """Show what is being done."""
        self.progress.update(self.progress.task_ids[0], description=title)

    def tell(self, model: str, what: str) -> None:
        """Remember what happened."""
        at = f"{time.monotonic() - self.started:5.0f} s"
        self.lines.append((at, model, what))
        self.progress.console.print(f"[dim]{at}[/dim]  [bold]{model:16}[/bold] {what}")

    def table(self) -> Table:
        """All of it."""
        table = Table(title="what happened")
        for column in ("after", "model", "event"):
            table.add_column(column)
        for line in self.lines:
            table.add_row(*line)
        return table


def main() -> int:
    """Run the demo; 0 when everything happened as told."""
    console = Console()
    shutil.rmtree(HOME, ignore_errors=True)
    fraud = load_specs(DEFS)["fraud"][0]
    weeks = [w.key for w in fraud.grid.complete(datetime.now(UTC))][-5:]
    processes = Processes(HOME, environment(HOME, {"MLOPS_FRAUD_SHIFT_FROM": weeks[2]}))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task("starting", total=None)
            story = Story(console, progress)
            run(story, processes, fraud, weeks)
    except DemoError as error:
        console.print(f"[red]the demo stopped:[/red] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    finally:
        processes.stop()
    console.print(story.table())
    console.print("Open it all in Dagster, with history, plots, checks and lineage:  [bold]make ui")
    return 0


def run(story: Story, processes: Processes, fraud: ModelSpec, weeks: list[str]) -> None:
    """The story; ``weeks`` are the last five complete ones, shifted from the third on."""
    story.step("starting the REST server, Dagster and its daemon; reading history")
    processes.prepare()
    server = processes.start_server(free_port(8900))
    dagster = Dagster(processes.start_dagster(free_port(3000)), processes)
    with ThreadPoolExecutor(2) as pool:
        filled = {
            "fraud": pool.submit(fill, story, processes, "fraud", weeks[0]),
            "recommendations": pool.submit(
                fill, story, processes, "recommendations", RECOMMENDATION_WEEKS[0]
            ),
        }
        processes.wait_for("serve", f"{server}/v2/health/ready")
        processes.wait_for("dagster", f"{dagster.url}/server_info")
        story.step("training three models, judging them, deploying what passes")
        first = {"iris": dagster.launch("iris_lifecycle")}
        for model, window in (("fraud", weeks[0]), ("recommendations", RECOMMENDATION_WEEKS[0])):
            filled[model].result()
            first[model] = dagster.launch(f"{model}_lifecycle", window)
        later = pool.submit(fill, story, processes, "fraud", weeks[3])
        tell_outcomes(story, dagster, server, first)
        later.result()

    story.step("replaying a healthy week and a shifted week of card payments through HTTP")
    weekly = dagster.launch("recommendations_lifecycle", RECOMMENDATION_WEEKS[1])
    for week, kind in ((weeks[1], "a healthy"), (weeks[2], "a shifted")):
        rows = replay(fraud, server, week)
        story.tell("fraud", f"{kind} week ({week}): {rows} predictions over HTTP, all in the log")
    story.step("reporting on both weeks")
    watched = {w: dagster.launch("fraud_monitoring", w) for w in weeks[1:3]}
    dagster.wait(watched.values())
    for week in watched:
        story.tell("fraud", f"drift report of {week}: {drift_words(week)}")

    story.step("waiting for the sensors")
    retrain, trigger = dagster.wait_for_trigger("fraud_lifecycle")
    story.tell("fraud", f"the sensor fraud_on_{trigger} asked for a retrain, by itself")
    story.step("retraining fraud, judging challenger against champion")
    tell_outcomes(story, dagster, server, {"fraud": retrain})
    tell_outcomes(story, dagster, server, {"recommendations": weekly})

    story.step("rolling back, only to show it")
    roll_back(story, processes, server)


def fill(story: Story, processes: Processes, model: str, window: str) -> None:
    """Materialize what a training for a window reads."""
    command = [sys.executable, "-m", "mlops_assets.cli", "backfill", model, "--window", window]
    with (processes.home / "logs" / f"backfill-{model}.log").open("ab") as log:
        done = subprocess.run(command, env=processes.env, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise DemoError(f"backfill of {model} failed: see {log.name}")
    story.tell(model, f"history up to {window} read, checked, turned into features")


def tell_outcomes(story: Story, dagster: Dagster, server: str, runs: dict[str, str]) -> None:
    """Wait for lifecycle runs and tell the verdict and what serves."""
    for model, run_id in runs.items():
        (status,) = dagster.wait([run_id])
        report = newest(model, "evaluation_report")
        verdict = report.verdict
        if status != "SUCCESS" and verdict.accepted:
            log = processes_log()
            raise DemoError(f"{model}: run {run_id} ended as {status}: see {log}, or `make ui`")
        story.tell(model, f"gate: {verdict.verdict}; {verdict.reasons[0]}")
        served = get(f"{server}/v2/models/{model}")["version"]
        story.tell(model, f"champion v{served} answers at {server}/predict/{model}")


def replay(spec: ModelSpec, server: str, week: str) -> int:
    """Send a week's rows to the endpoint as clients would, with their own times."""
    import pandas as pd

    frame = pd.read_parquet(HOME / "storage" / spec.name / "validated_features" / f"{week}.parquet")
    frame = frame.iloc[:: max(1, len(frame) // ROWS_A_WEEK)]
    names = {f["name"] for f in get(f"{server}/v2/models/{spec.name}")["inputs"]}
    asked = frame[[c for c in frame if c in names | set(spec.columns.join_key)]].copy()
    asked[str(spec.columns.time)] = frame[spec.columns.time].map(lambda at: at.isoformat())
    asked[str(spec.columns.unit)] = frame[spec.columns.unit]
    records = asked.to_dict(orient="records")
    for start in range(0, len(records), BATCH):
        post(f"{server}/predict/{spec.name}", records[start : start + BATCH])
    return len(records)


def drift_words(week: str) -> str:
    """What a stored drift report says."""
    report = stored().load(_key("fraud", "drift_report"), week)
    drifted = [c.column for c in report.columns if c.verdict == "drifted"]
    return f"{report.verdict}" + (f" in {', '.join(drifted[:4])}" if drifted else "")


def roll_back(story: Story, processes: Processes, server: str) -> None:
    """One command, and the time until the server answers with the version before."""
    before = get(f"{server}/v2/models/fraud")["version"]
    command = [sys.executable, "-m", "mlops_assets.cli", "rollback", "fraud", "--why", "demo"]
    asked = time.monotonic()
    done = subprocess.run(command, env=processes.env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"rollback failed: {done.stderr}")
    processes.wait(
        "the rollback",
        lambda: get(f"{server}/v2/models/fraud")["version"] != before,
        15,
        "serve",
    )
    serves = get(f"{server}/v2/models/fraud")["version"]
    took = time.monotonic() - asked
    story.tell(
        "fraud", f"to show it, rolled back by one command: v{serves} answers {took:.1f} s later"
    )


def processes_log() -> Path:
    """Where Dagster and its runs write."""
    return HOME / "logs" / "dagster.log"


def newest(model: str, asset: str):
    """The newest stored report of a model."""
    found = stored().newest(model, asset)
    if found is None:
        raise DemoError(f"{model} has no {asset}: see {processes_log()}")
    return found[1]


def stored():
    """The demo's reports."""
    from mlops_assets.resources import ReportIOManager

    return ReportIOManager(base_url=str(HOME / "storage"))


def _key(model: str, asset: str):
    import dagster as dg

    return dg.AssetKey([model, asset])


if __name__ == "__main__":
    sys.exit(main())
