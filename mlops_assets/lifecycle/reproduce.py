"""Training a version again from its record, and telling what comes out otherwise."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.artifact import MODEL_FILE, load_estimator
from mlops_assets.lifecycle.contents import contents, skops_digest
from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError
from mlops_assets.lifecycle.evaluation import Candidate
from mlops_assets.lifecycle.fingerprint import environment, environment_digest
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.recalibration import (
    base_number,
    fitted,
    read_base,
    recalibration_data,
)
from mlops_assets.lifecycle.recording import (
    ROWS_FILE,
    read_environment,
    read_record,
    write_model,
)
from mlops_assets.lifecycle.registry import Registry, Version
from mlops_assets.lifecycle.reports import Report, TrainedModel
from mlops_assets.lifecycle.threads import as_then
from mlops_assets.lifecycle.training import TrainingData

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.spec import ModelSpec

PACKED = "packed/"
SHOWN = 10


class MetricPair(Report):
    """A metric on the hold-out: of the version, and of the model that was trained now."""

    metric: str
    then: float
    now: float


class Reproduction(Report):
    """What came of training a version again.

    Attributes
    ----------
    outcome : {"same", "differs", "impossible"}
        ``same`` when what its skops file and its arrays say is the same to the bit.
    reason : str
        Why it is impossible.
    changed : tuple of str
        What went in otherwise than then: data, code, parameters, environment.
    files : tuple of str
        Those that say something else than then.
    then, now : str
        Digests of what the skops files say.
    metrics : tuple of MetricPair
        On the hold-out, where the models differ.
    largest_difference : float or None
        Between the scores of a hold-out row; for rankings the share of units that are recommended
        something else. None where the models are the same.
    """

    model: str
    version: int
    outcome: Literal["same", "differs", "impossible"]
    reason: str = ""
    changed: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    then: str = ""
    now: str = ""
    metrics: tuple[MetricPair, ...] = ()
    largest_difference: float | None = None
    hold_out_rows: int = 0
    fit_seconds: float = 0.0


def reproduce(
    spec: "ModelSpec",
    registry: Registry,
    version: Version,
    load: "Callable[[str], pd.DataFrame]",
    *,
    code_version: str,
    commit: str,
) -> Reproduction:
    """Train a version again in a folder of its own; nothing is registered.

    Parameters
    ----------
    spec : ModelSpec
        As it is declared now.
    load : callable
        From the key of a window to its stored features; raises EvidenceError for one that is gone.
    code_version, commit : str
        Of the training as it is declared now, and of its repository.
    """
    try:
        record = read_record(registry, version)
        with TemporaryDirectory(prefix="mlops-reproduce-") as name:
            base = None
            if base_number(record.params) is not None:
                base = read_base(registry, version, Path(name))
            data = _data(spec, record, load, code_version, base)
            return _compared(spec, registry, version, record, data, commit, Path(name))
    except (ArtifactError, EvidenceError) as error:
        return Reproduction(
            model=version.model, version=version.number, outcome="impossible", reason=str(error)
        )


def refit(spec: "ModelSpec", data: TrainingData, folder: Path) -> str | None:
    """Fit once more on a version's training rows: why the model is another one, or None.

    Parameters
    ----------
    data : TrainingData
    folder : Path
        With the version's verified files.
    """
    import skops.io

    with TemporaryDirectory(prefix="mlops-refit-") as name:
        file = Path(name) / MODEL_FILE
        skops.io.dump(fitted(spec, data), file)
        then, now = skops_digest(folder / MODEL_FILE), skops_digest(file)
    if then == now:
        return None
    return (
        f"two fits on the same rows give two models ({then[:12]} and {now[:12]}): "
        "is a random_state left open, or does it add up in several threads?"
    )


def _data(
    spec: "ModelSpec",
    record: TrainedModel,
    load: "Callable[[str], pd.DataFrame]",
    code_version: str,
    base: Candidate | None,
) -> TrainingData:
    if spec.cadence == "none":
        seen, unseen = training.split(spec, {record.window: load(record.window)})
    else:
        held = spec.grid.back_from(record.window, spec.hold_out_windows)
        seen = {window: load(window) for window in record.training_windows}
        unseen = {window.key: load(window.key) for window in held}
    if base is not None:
        return recalibration_data(spec, base, seen, unseen, code_version)
    return TrainingData.of(spec, seen, unseen, code_version)


def _compared(
    spec: "ModelSpec",
    registry: Registry,
    version: Version,
    record: TrainedModel,
    data: TrainingData,
    commit: str,
    folder: Path,
) -> Reproduction:
    started = time.monotonic()
    with as_then(record.threads):
        estimator = fitted(spec, data)
    seconds = time.monotonic() - started
    write_model(registry, spec, data, estimator, folder / "now")
    taken = registry.files.take(version, folder)
    then, now = contents(taken), contents(folder / "now")
    files = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    same = not any(name == MODEL_FILE or name.startswith(PACKED) for name in files)
    made: dict[str, Any] = {}
    if not same:
        known = load_estimator(taken, registry.settings.trusted_types)
        made = _differences(spec, data, known, estimator)
    return Reproduction(
        model=version.model,
        version=version.number,
        outcome="same" if same else "differs",
        changed=tuple(_changed(spec, registry, version, record, data, commit)),
        files=tuple(files),
        then=then[MODEL_FILE],
        now=now[MODEL_FILE],
        hold_out_rows=len(data.unseen),
        fit_seconds=seconds,
        **made,
    )


def _differences(
    spec: "ModelSpec", data: TrainingData, known: Any, estimator: Any
) -> dict[str, Any]:
    import numpy as np

    task = spec.task_type
    cases = task.cases(data.unseen, data.seen, spec.columns)
    then, now = task.scores(known, cases.asked), task.scores(estimator, cases.asked)
    if then.shape != now.shape:
        raise EvidenceError(f"it answered in the shape {then.shape}, and now in {now.shape}")
    if task.tabular:
        largest = float(np.abs(then - now).max(initial=0.0))
    else:
        largest = float((then != now).any(axis=1).mean())
    values = [
        MetricPair(
            metric=name,
            then=METRICS[name].value(cases.truth, then),
            now=METRICS[name].value(cases.truth, now),
        )
        for name in task.metrics
    ]
    return {"metrics": tuple(values), "largest_difference": largest}


def _changed(
    spec: "ModelSpec",
    registry: Registry,
    version: Version,
    record: TrainedModel,
    data: TrainingData,
    commit: str,
) -> list[str]:
    found = []
    if data.data_version != record.data_version:
        found.append(_data_changed(registry, version, record, data))
    if data.code_version != record.code_version:
        found.append(f"code version: {record.code_version} then, {data.code_version} now")
    if commit != record.git_commit:
        found.append(f"git commit: {record.git_commit} then, {commit} now")
    params = data.params or training.recorded_params(spec)
    found += [
        f"parameter {name}: {record.params.get(name)} then, {params.get(name)} now"
        for name in sorted(params.keys() | record.params.keys())
        if params.get(name) != record.params.get(name)
    ]
    if environment_digest() != record.environment:
        found += _packages(read_environment(registry, version))
    return found


def _data_changed(
    registry: Registry, version: Version, record: TrainedModel, data: TrainingData
) -> str:
    import io

    import numpy as np

    rows = np.load(io.BytesIO(registry.files.artifact(version, ROWS_FILE)), allow_pickle=False)
    now = data.row_hashes
    known = record.window_versions
    windows = [w for w, digest in data.versions.items() if known.get(w, digest) != digest]
    where = f" (windows {', '.join(windows)})" if windows else ""
    return (
        f"training data{where}: {np.isin(rows, now, invert=True).sum()} of the {len(rows)} rows "
        f"are gone, {np.isin(now, rows, invert=True).sum()} are new; "
        f"data version {record.data_version[:12]} then, {data.data_version[:12]} now"
    )


def _packages(then: dict[str, str]) -> list[str]:
    if not then:
        return ["environment: another one than then, whose packages were not recorded"]
    now = environment()
    differ = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    told = [
        f"{name}: {then.get(name, 'not installed')} then, {now.get(name, 'not installed')} now"
        for name in differ
    ]
    return told[:SHOWN] + ([f"and {len(told) - SHOWN} more packages"] if len(told) > SHOWN else [])
