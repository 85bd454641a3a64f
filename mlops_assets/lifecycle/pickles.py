"""A pickle that a user brings becomes a verified version that serves.

Loading a pickle runs the code inside it. So it is loaded once, in a process that is killed
afterwards; the platform takes over only what skops can write as data, and only once that answers
as the pickle does, bit by bit. What that process hands back is trusted as little as the pickle.
"""

import hashlib
import re
import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle import pickles_worker, sandbox
from mlops_assets.lifecycle.artifact import (
    MODEL_FILE,
    Feature,
    Serving,
    load_estimator,
    write_version,
)
from mlops_assets.lifecycle.errors import ArtifactError, DeclarationError, RolloutError
from mlops_assets.lifecycle.fingerprint import digest_of, environment_digest
from mlops_assets.lifecycle.registry import Registry, Version
from mlops_assets.lifecycle.rollout.history import had_champion
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets.lifecycle.rollout.promotion import adopt
from mlops_assets.lifecycle.tasks import TASKS

if TYPE_CHECKING:
    import pandas as pd

WARNING = (
    "Loading a pickle runs the code inside it. It is loaded in a separate process that sees none "
    "of this one's environment, but that process can read your files. Import only what you or "
    "somebody you trust has made."
)
WINDOW = "imported"
EXAMPLE_ROWS = 5
MOST_BYTES = 4 * 2**30
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def import_pickle(
    registry: Registry,
    journal: Journal,
    file: Path,
    *,
    model: str,
    task: str,
    features: list[str] | None,
    who: str,
    why: str,
) -> Version:
    """Convert, verify, register and adopt a trained scikit-learn estimator.

    Parameters
    ----------
    file : Path
        Written by pickle or joblib, compressed or not.
    model : str
        The name to serve it under; a model that never had a champion.
    task : str
        Name of a tabular task.
    features : list of str or None
        Names of the columns in order, where the estimator was fitted without names.
    who, why : str
        For the rollout journal and the MLflow run.

    Returns
    -------
    Version
        The champion; the one of before when this pickle was imported already.

    Raises
    ------
    DeclarationError
        For a name or task that can't be.
    ArtifactError
        When the pickle can't be read, converted or shown to answer the same: nothing is
        registered.
    RolloutError
        When the model has, or had, a champion: what follows it has to pass the gate.
    """
    _check_request(model, task)
    with TemporaryDirectory(prefix="mlops-pickle-") as name:
        folder = Path(name)
        sha256 = _take(file, folder / pickles_worker.PICKLE_FILE)
        fingerprint = digest_of("pickle", model, task, features, sha256, environment_digest())
        version = registry.find(model, fingerprint)
        if version is None:
            if had_champion(registry, journal, model):
                raise RolloutError(f"{model} has or had a champion: a pickle can't replace it")
            try:
                estimator = _convert(folder, task, registry.settings.trusted_types)
                serving = _serving(estimator, model, task, features)
            except ArtifactError as error:
                raise ArtifactError(f"{file} was not imported: {error}") from error
            tags = {
                "imported": "pickle",
                "fingerprint": fingerprint,
                "pickle_sha256": sha256,
                "sandbox": sandbox.isolation(),
            }
            word = {"who": who, "why": why}
            version = _register(registry, estimator, serving, tags, word, folder / "version")
    adopt(registry, journal, version, who=who, why=why)
    return version


def _check_request(model: str, task: str) -> None:
    if not NAME.fullmatch(model):
        raise DeclarationError(f"{model!r} is not a model's name: {NAME.pattern}")
    tabular = [name for name, known in TASKS.items() if known.tabular]
    if task not in tabular:
        raise DeclarationError(f"a pickle can't be imported as {task!r}, but as {tabular}")


def _take(file: Path, copy: Path) -> str:
    """Copy the file, so that what is loaded is what was digested; SHA-256 as 64 hex digits."""
    try:
        shutil.copyfile(file, copy)
    except OSError as error:
        raise ArtifactError(f"{file} can't be read: {error.strerror}") from error
    with copy.open("rb") as taken:
        return hashlib.file_digest(taken, "sha256").hexdigest()


def _convert(folder: Path, task: str, trusted: tuple[str, ...]) -> Any:
    """The estimator in the folder's pickle, by way of skops; nothing is unpickled here."""
    sandbox.run(Path(pickles_worker.__file__), task, folder, pickles_worker.SECONDS)
    _check_plain(folder)
    estimator = load_estimator(folder, trusted)
    problem = pickles_worker.complaint(estimator, task)
    if problem is not None:
        raise ArtifactError(problem)
    # Bytes are compared, never parsed: the other process could have written anything.
    answered = (folder / pickles_worker.ANSWERS_FILE).read_bytes()
    if answered != pickles_worker.answers(estimator, task):
        raise ArtifactError("what skops kept of it does not answer as the pickle does")
    _check_served_alike(estimator, task)
    return estimator


def _check_plain(folder: Path) -> None:
    for name in (MODEL_FILE, pickles_worker.ANSWERS_FILE):
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise ArtifactError(f"its process ended without a usable {name}")
    try:
        with zipfile.ZipFile(folder / MODEL_FILE) as packed:
            size = sum(member.file_size for member in packed.infolist())
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"its process wrote a {MODEL_FILE} that is none: {error}") from error
    if size > MOST_BYTES:
        raise ArtifactError(f"it unpacks to {size} bytes where {MOST_BYTES} are the most")


def _check_served_alike(estimator: Any, task: str) -> None:
    """Refuse an estimator whose own decision is not the one the REST server would make."""
    import numpy as np

    asked = pickles_worker.sample(estimator)
    predicted = estimator.predict(asked)
    if predicted.shape != (len(asked),):
        raise ArtifactError(f"it answers {predicted.shape[1:]} numbers a row where one is served")
    if not task.endswith("classification"):
        return
    probabilities = estimator.predict_proba(asked)
    chosen = probabilities[np.arange(len(asked)), predicted.astype(int)]
    differ = np.count_nonzero(chosen < probabilities.max(axis=1))
    if differ:
        raise ArtifactError(
            f"its predict is not its most probable class in {differ} of {len(asked)} samples (a "
            "tuned threshold, or probabilities fitted apart as in SVC), and that is what is served"
        )


def _serving(estimator: Any, model: str, task: str, features: list[str] | None) -> Serving:
    known = getattr(estimator, "feature_names_in_", None)
    names = features if known is None else list(known)
    width = estimator.n_features_in_
    if names is None:
        raise ArtifactError(f"it was fitted without feature names: name its {width} (--features)")
    if features is not None and features != names:
        raise ArtifactError(f"it was fitted on {names}, not on {features}")
    if len(names) != width or len(set(names)) != width or not all(names):
        raise ArtifactError(f"it has {width} features, each with a name of its own, not {names}")
    return Serving(
        model=model,
        task=task,
        features=[Feature(name=name, dtype="float64") for name in names],
        unit=None,
        time=None,
        key=[],
    )


def _register(
    registry: Registry,
    estimator: Any,
    serving: Serving,
    tags: dict[str, str],
    word: dict[str, str],
    folder: Path,
) -> Version:
    example = _example(estimator, serving)
    output = TASKS[serving.task].scores(estimator, example)
    trusted = registry.settings.trusted_types
    digest = write_version(folder, estimator, serving, example, output, trusted)
    client, model = registry.client, serving.model
    run = client.create_run(
        _experiment(registry, model),
        run_name=f"{model} {WINDOW}",
        tags={f"mlops.{name}": value for name, value in (tags | word).items()},
    )
    status = "FAILED"
    try:
        client.log_param(run.info.run_id, "estimator", type(estimator).__name__)
        logged = client.create_logged_model(
            run.info.experiment_id, name=model, source_run_id=run.info.run_id, model_type="sklearn"
        )
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
        status = "FINISHED"
    finally:
        client.set_terminated(run.info.run_id, status)
    kept = {"digest": digest, "window": WINDOW, **tags}
    return registry.create(model, logged.artifact_location, run.info.run_id, logged.model_id, kept)


def _example(estimator: Any, serving: Serving) -> "pd.DataFrame":
    # There are no rows of the user's to show; the server warms up on these.
    example = pickles_worker.sample(estimator).head(EXAMPLE_ROWS)
    return example.set_axis([feature.name for feature in serving.features], axis=1)


def _experiment(registry: Registry, model: str) -> str:
    found = registry.client.get_experiment_by_name(model)
    if found is not None:
        return found.experiment_id
    root = registry.settings.artifact_url
    return registry.client.create_experiment(model, artifact_location=root and f"{root}/{model}")
