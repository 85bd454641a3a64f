"""A platform in a temporary folder: real MLflow, real storage, real Dagster, real server."""

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import uvicorn
import yaml

from mlops_assets.components.lifecycle import lifecycle_definitions
from mlops_assets.definitions import resources
from mlops_assets.lifecycle.artifact import Feature, Serving
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import ModelSpec, load_specs
from mlops_assets.serving.app import build_app
from mlops_assets_tests.follower import FollowerThread

START = date(2026, 1, 5)


def weekly(name: str = "shop", **changes: Any) -> dict[str, Any]:
    """The attributes of a small weekly binary model on a CSV file, with changes at dotted keys."""
    attributes: dict[str, Any] = {
        "name": name,
        "task": "binary_classification",
        "cadence": "weekly",
        "start": START.isoformat(),
        "source": {"type": "csv", "path": "data.csv"},
        "columns": {"target": "bought", "time": "at", "unit": "customer", "key": ["visit"]},
        "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
        "training": {"windows": 2, "hold_out": 1},
        "gate": {"metric": "log_loss", "margin": 0.02, "floor": {"roc_auc": 0.6}},
        "retrain": {"schedule": "0 3 * * 1", "on": ["drift"]},
        # Some seconds a training, which tests that are about something else need not pay.
        "serving": {"packed": False},
    }
    for key, value in changes.items():
        place = attributes
        *parents, last = key.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return attributes


def visits(
    weeks: int, rows: int = 400, slope: float = 2.0, seed: int = 0, start: date = START
) -> pd.DataFrame:
    """Visits to a shop, ``rows`` a week from ``start``: P(bought) = logistic(slope * interest)."""
    rng = np.random.default_rng(seed)
    total = weeks * rows
    interest = rng.normal(size=total)
    minutes = rng.exponential(5, size=total)
    chance = 1 / (1 + np.exp(-slope * interest))
    offsets = np.arange(total) * (timedelta(weeks=1) / rows)
    return pd.DataFrame(
        {
            "visit": [f"v{i:06d}" for i in range(total)],
            "at": [pd.Timestamp(start, tz="UTC") + offset for offset in offsets],
            "customer": [f"c{i}" for i in rng.integers(0, total, size=total)],
            "interest": interest,
            "minutes": minutes,
            "bought": (rng.random(total) < chance).astype(int),
        }
    )


def week(number: int, start: date = START) -> str:
    """Key of the ``number``-th window, counted from 0."""
    return (start + timedelta(weeks=number)).isoformat()


def of_week(frame: pd.DataFrame, number: int, start: date = START) -> pd.Series:
    """Which rows of :func:`visits` lie in a window."""
    first = pd.Timestamp(start, tz="UTC") + timedelta(weeks=number)
    return (frame["at"] >= first) & (frame["at"] < first + timedelta(weeks=1))


def blur(frame: pd.DataFrame, weeks: list[int], share: float, seed: int = 1) -> pd.DataFrame:
    """The visits with a share of some weeks' labels replaced by the toss of a coin."""
    rng = np.random.default_rng(seed)
    chosen = np.logical_or.reduce([of_week(frame, number) for number in weeks])
    chosen &= rng.random(len(frame)) < share
    tossed = rng.integers(0, 2, size=len(frame))
    return frame.assign(bought=frame["bought"].where(~chosen, tossed))


def of_x(model: str) -> Serving:
    """What a server has to know of a regression on a float called x."""
    return Serving(
        model=model,
        task="regression",
        features=[Feature(name="x", dtype="float64")],
        unit=None,
        time=None,
        key=[],
    )


class Lab:
    """A project with one model.

    Parameters
    ----------
    folder : Path
        Gets ``defs.yaml`` and whatever data a test puts beside it.
    instance : DagsterInstance
    """

    def __init__(self, folder: Path, instance: dg.DagsterInstance):
        self.folder = folder
        self.instance = instance
        self.settings = Settings.from_environment()
        self.registry = Registry(self.settings)
        self.journal = Journal(self.settings.database_url)

    def declare(self, attributes: dict[str, Any]) -> ModelSpec:
        """Write the declaration and read it back as the platform does."""
        document = {"type": "mlops_assets.ModelLifecycle", "attributes": attributes}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "defs.yaml").write_text(yaml.safe_dump(document), "utf-8")
        self.spec = load_specs(self.folder)[attributes["name"]][0]
        return self.spec

    def reload(self, name: str) -> ModelSpec:
        """Read a declaration that is there already."""
        self.spec = load_specs(self.folder)[name][0]
        return self.spec

    def write(self, frame: pd.DataFrame, name: str = "data.csv") -> None:
        """Write the model's CSV file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        frame.to_csv(self.folder / name, index=False)

    @property
    def definitions(self) -> dg.Definitions:
        """What Dagster would load."""
        return dg.Definitions.merge(
            lifecycle_definitions(self.spec, self.folder),
            dg.Definitions(resources=resources(), executor=dg.in_process_executor),
        )

    def run(
        self, kind: str, window: str | None = None, only: list[str] | None = None, **tags: str
    ) -> dg.ExecuteInProcessResult:
        """Run a job of the model, or some assets of it."""
        job = self.definitions.resolve_job_def(f"{self.spec.name}_{kind}")
        return job.execute_in_process(
            partition_key=window,
            instance=self.instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey([self.spec.name, a]) for a in only] if only else None,
            tags=tags,
        )

    def fill(self, first: int, last: int) -> dg.ExecuteInProcessResult:
        """Materialize data for a range of windows in one run."""
        tags = {
            "dagster/asset_partition_range_start": week(first, self.spec.start),
            "dagster/asset_partition_range_end": week(last, self.spec.start),
        }
        return self.run("data", None, None, **tags)

    def stored(self, asset: str, window: str | None = None) -> Any:
        """What an asset's window holds in storage."""
        manager = "frames" if asset in FRAMES else "reports"
        return resources()[manager].load(dg.AssetKey([self.spec.name, asset]), window)

    def file(self, asset: str, window: str | None = None) -> Path:
        """Where an asset's window is stored."""
        manager = "frames" if asset in FRAMES else "reports"
        path = resources()[manager].path(dg.AssetKey([self.spec.name, asset]), window)
        return Path(str(path))

    def ask(self, url: str, rows: pd.DataFrame) -> dict[str, Any]:
        """Post rows (without their target) to the server, and return its reply."""
        asked = rows.drop(columns=self.spec.columns.target)
        # pandas' own to_json rounds to 15 digits, and a tree may tell the difference.
        records = asked.astype(object).where(asked.notna(), None).to_dict("records")
        return call(f"{url}/predict/{self.spec.name}", json.dumps(records, default=str).encode())

    def aliases(self) -> dict[str, int]:
        """The registry's aliases of the model."""
        return self.registry.aliases(self.spec.name)

    def decisions(self, number: int) -> list[tuple[str, str]]:
        """Action and version of the decisions on a version's published card, oldest first."""
        card = self.registry.client.get_model_version(self.spec.name, str(number)).description
        section = card.split("## Decisions")[1].split("\n## ")[0]
        rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| 20")]
        return [(row[1], row[2]) for row in rows]

    @contextmanager
    def server(self) -> Iterator[str]:
        """The real REST server at the address that the platform expects; yields it."""
        port = int(self.settings.endpoint.rsplit(":", 1)[1])
        following = FollowerThread(self.settings, poll_seconds=0.1)
        app = build_app(self.settings, poll_seconds=0.1, following=following)
        config = uvicorn.Config(app, port=port, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield self.settings.endpoint
        finally:
            server.should_exit = True
            thread.join()


FRAMES = {"raw_data", "validated_features", "live_predictions"}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Check evaluations of a run by ``asset/check``."""
    return {
        f"{e.asset_key.path[-1]}/{e.check_name}": e for e in result.get_asset_check_evaluations()
    }


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    """Names of the assets that a run materialized."""
    return [e.asset_key.path[-1] for e in result.get_asset_materialization_events()]


def errors(result: dg.ExecuteInProcessResult) -> str:
    """All error messages of a run, causes included."""
    found = []
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        while error is not None:
            found.append(error.message)
            error = error.cause
    return "\n".join(found)


def call(url: str, body: bytes | None = None) -> Any:
    """What a URL answers, read as JSON."""
    with urllib.request.urlopen(url, data=body, timeout=60) as reply:
        return json.loads(reply.read())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
