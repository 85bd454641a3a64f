"""The models that every server is asked about, registered as training registers them."""

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from mlops_assets.lifecycle.artifact import Feature, Serving, folder_digest, write_version
from mlops_assets.lifecycle.packed.worker import convert_in_process
from mlops_assets.lifecycle.registry import CHAMPION, Registry, Version
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.tasks import TASKS

BINARY, MULTICLASS = "binary_classification", "multiclass_classification"
ROWS = 6000
SERVING_FILE = "serving.json"


@dataclass(frozen=True)
class World:
    """A fitted estimator with the rows that clients ask about; ``folder`` is its model file's."""

    name: str
    title: str
    task: str
    estimator: Any
    frame: pd.DataFrame
    folder: Path

    def body(self, form: str, rows: int) -> str:
        """A request for the first rows, in one of the forms of `FORMS`."""
        return FORMS[form](self.frame.head(rows))


def _records(frame: pd.DataFrame) -> str:
    return frame.to_json(orient="records", double_precision=15)


def _tensor(frame: pd.DataFrame) -> str:
    values = frame.to_numpy()
    tensor = {"name": "x", "shape": list(values.shape), "datatype": "FP64"}
    return json.dumps({"inputs": [tensor | {"data": values.ravel().tolist()}]})


def _split(frame: pd.DataFrame) -> str:
    table = frame.to_dict(orient="split", index=False)
    return json.dumps({"dataframe_split": table})


def _arrays(frame: pd.DataFrame) -> str:
    return json.dumps({"rows": frame.to_numpy().tolist()})


# Each server is asked in a form that it knows, with the same numbers.
FORMS = {"records": _records, "tensor": _tensor, "split": _split, "arrays": _arrays}


def _iris() -> tuple[pd.DataFrame, np.ndarray]:
    found = load_iris(as_frame=True)
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    return found.data.set_axis(names, axis=1), found.target.to_numpy()


def _thirty() -> tuple[pd.DataFrame, np.ndarray]:
    values, target = make_classification(
        ROWS, 30, n_informative=12, n_redundant=6, flip_y=0.05, random_state=0
    )
    # Amounts with a few decimals, as clients send them.
    frame = pd.DataFrame(values.round(4), columns=[f"x{number}" for number in range(30)])
    return frame, target


KINDS = {
    "lr": ("Iris LR", MULTICLASS, _iris, lambda: LogisticRegression(max_iter=1000)),
    "rf": ("RF(100)", BINARY, _thirty, lambda: RandomForestClassifier(100, random_state=0)),
    "hgb": ("HGB", BINARY, _thirty, lambda: HistGradientBoostingClassifier(random_state=0)),
}


def made(kind: str, settings: Settings) -> World:
    """Fit one of `KINDS` and write its model file, packed and proved on rows it has not seen."""
    title, task, data, factory = KINDS[kind]
    frame, target = data()
    unseen = frame.sample(frac=0.3, random_state=0)
    seen = frame.drop(unseen.index)
    estimator = factory().fit(seen, target[seen.index])
    folder = settings.home / "models" / kind
    serving = Serving(
        model=kind,
        task=task,
        features=[Feature(name=name, dtype=str(frame[name].dtype)) for name in frame.columns],
        unit=None,
        time=None,
        key=[],
    )
    example = frame.head(5)
    write_version(folder, estimator, serving, example, TASKS[task].scores(estimator, example))
    proof = convert_in_process(folder, unseen)
    if isinstance(proof, str):
        raise RuntimeError(f"{title} could not be packed: {proof}")
    return World(kind, title, task, estimator, unseen.reset_index(drop=True), folder)


def renamed(world: World, name: str) -> World:
    """The same model under another name, with files of its own."""
    folder = world.folder.parent / name
    shutil.copytree(world.folder, folder)
    file = folder / SERVING_FILE
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"model": name}), "utf-8")
    return replace(world, name=name, folder=folder)


def register(registry: Registry, world: World) -> Version:
    """A new signed version with a world's files."""
    client, model = registry.client, world.name
    known = client.get_experiment_by_name(model)
    experiment = (
        known.experiment_id
        if known
        else client.create_experiment(model, artifact_location=registry.settings.artifact_url)
    )
    run = client.create_run(experiment).info.run_id
    logged = client.create_logged_model(experiment, name=model, source_run_id=run)
    client.log_model_artifacts(logged.model_id, str(world.folder))
    client.finalize_logged_model(logged.model_id, "READY")
    digest = folder_digest(world.folder)
    return registry.create(
        model, logged.artifact_location, run, logged.model_id, {"digest": digest}
    )


def promote(registry: Registry, version: Version) -> None:
    """Make a version the champion."""
    registry.set_alias(version.model, CHAMPION, version.number)


def settings_of(home: Path) -> Settings:
    """The platform's settings in a home of its own; what this process is told of others is not."""
    home.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("MLOPS_")]:
        del os.environ[name]
    os.environ["MLOPS_HOME"] = str(home)
    return Settings.from_environment()
