"""Recording a fitted model in MLflow, so that it can be judged, served, watched and explained.

The version becomes visible by the last write of all: a crash before leaves an MLflow run, never
half a version.
"""

import hashlib
import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle import reference, training
from mlops_assets.lifecycle.artifact import Feature, Serving, folder_digest, write_files
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.evaluation import Candidate
from mlops_assets.lifecycle.fingerprint import environment, environment_digest
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.reports import TrainedModel
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets.lifecycle.threads import threads
from mlops_assets.lifecycle.training import TrainingData
from mlops_assets.lifecycle.version import EVIDENCE, Version
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    import pandas as pd

ROWS_FILE = "training_rows.npy"
REFERENCE_FILE = "reference.parquet"
PROFILE_FILE = "reference_profile.json"
RECORD_FILE = "trained_model.json"
ENVIRONMENT_FILE = "environment.json"
HOLD_OUT_FILE = "hold_out_answers.parquet"
OLD_REFERENCE = "the stored sample of the hold-out, as the version is from before profiles"


def record(
    registry: Registry,
    spec: ModelSpec,
    window: Window,
    data: TrainingData,
    estimator: Any,
    run: Any,
    dagster_run_id: str,
) -> TrainedModel:
    """Log and register a fitted estimator.

    Parameters
    ----------
    run : mlflow.entities.Run
        The open run of this training.

    Raises
    ------
    ArtifactError
        When the estimator holds a class that must not be in a model file.
    """
    client, run_id = registry.client, run.info.run_id
    started = run.info.start_time / 1000
    facts: dict[str, Any] = {
        "model": spec.name,
        "run_id": run_id,
        "fingerprint": data.fingerprint,
        "data_version": data.data_version,
        "code_version": data.code_version,
        "environment": environment_digest(),
        "threads": threads(),
        "git_commit": run.data.tags["mlflow.source.git.commit"],
        "window": window.key,
        "training_windows": data.windows,
        "window_versions": data.versions,
        "trained_until": _iso(spec.grid.window(data.windows[-1]).end),
        "rows": len(data.seen),
        "features": spec.task_type.features(data.seen, spec.columns),
        "params": data.params or training.recorded_params(spec),
        "metrics": {"training_rows": len(data.seen), "fit_seconds": time.time() - started},
        "dagster_run_id": dagster_run_id,
        "created_at": _iso(datetime.now(UTC)),
    }
    _log(client, run_id, facts)
    with TemporaryDirectory(prefix="mlops-record-") as name:
        folder = Path(name)
        facts |= write_model(registry, spec, data, estimator, folder / "model")
        logged = client.create_logged_model(
            run.info.experiment_id, name=spec.name, source_run_id=run_id, model_type="sklearn"
        )
        client.log_model_artifacts(logged.model_id, str(folder / "model"))
        client.finalize_logged_model(logged.model_id, "READY")
        evidence = _log_evidence(client, run_id, spec, data, estimator, facts, folder)
    version = registry.create(
        spec.name,
        source=logged.artifact_location,
        run_id=run_id,
        model_id=logged.model_id,
        tags={k: facts[k] for k in ("digest", "fingerprint", "window", "data_version")}
        | {EVIDENCE: json.dumps(evidence)},
    )
    return TrainedModel(version=version.number, **facts)


def write_model(
    registry: Registry, spec: ModelSpec, data: TrainingData, estimator: Any, folder: Path
) -> dict[str, str]:
    """Write a version's files as they are registered; their ``digest``, what came of ``packed``.

    Raises
    ------
    ArtifactError
        When the estimator holds a class that must not be in a model file.
    """
    _write(registry, spec, data, estimator, folder)
    packed = {"packed": _pack(registry, data, folder)} if spec.serving.packed else {}
    return {**packed, "digest": folder_digest(folder)}


def read_environment(registry: Registry, version: Version) -> dict[str, str]:
    """The packages that a version was trained with, by name; empty for one from before."""
    if ENVIRONMENT_FILE not in json.loads(version.tags.get(EVIDENCE, "{}")):
        return {}
    return json.loads(registry.files.artifact(version, ENVIRONMENT_FILE))


def read_record(registry: Registry, version: Version) -> TrainedModel:
    """What was recorded of a version when it was trained."""
    facts = json.loads(registry.files.artifact(version, RECORD_FILE))
    return TrainedModel(version=version.number, **facts)


def read_reference(registry: Registry, version: Version) -> "pd.DataFrame":
    """Rows of the reference of a version's drift reports, to draw and to sample from."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(registry.files.artifact(version, REFERENCE_FILE)))


def read_profile(registry: Registry, version: Version) -> Profile:
    """The reference profile of a version; of one from before, made of its sample."""
    if PROFILE_FILE not in json.loads(version.tags.get(EVIDENCE, "{}")):
        return Profile.of(read_reference(registry, version), origin=OLD_REFERENCE)
    return Profile.read(registry.files.artifact(version, PROFILE_FILE))


def read_hold_out(registry: Registry, version: Version) -> Answered | None:
    """What a version answered on its hold-out, drawn; None where that was not recorded."""
    import numpy as np
    import pandas as pd

    if HOLD_OUT_FILE not in json.loads(version.tags.get(EVIDENCE, "{}")):
        return None
    rows = pd.read_parquet(io.BytesIO(registry.files.artifact(version, HOLD_OUT_FILE)))
    return Answered(
        truth=rows["truth"].to_numpy(),
        answers=[json.loads(answer) for answer in rows["answer"]],
        weights=rows["weight"].to_numpy(dtype=np.float64),
        units=rows["unit"].to_numpy(dtype=str) if "unit" in rows else None,
    )


def read_candidate(registry: Registry, version: Version, folder: Path) -> Candidate:
    """A version as the judge needs it: verified, loaded, with the hashes of its training rows."""
    import numpy as np

    rows = io.BytesIO(registry.files.artifact(version, ROWS_FILE))
    files = registry.files.take(version, folder)
    return Candidate(
        version=version,
        estimator=registry.files.read(version, files),
        training_rows=np.load(rows, allow_pickle=False),
        trained_until=read_record(registry, version).trained_until,
        files=files,
    )


def _log(client, run_id: str, facts: dict[str, Any]) -> None:
    for name, value in facts["params"].items():
        client.log_param(run_id, name, value[:500])
    for name, value in facts["metrics"].items():
        client.log_metric(run_id, name, value)


def _write(
    registry: Registry, spec: ModelSpec, data: TrainingData, estimator: Any, folder: Path
) -> None:
    task = spec.task_type
    names = task.features(data.seen, spec.columns)
    example = data.seen[names].head(training.EXAMPLE_ROWS)
    serving = Serving(
        model=spec.name,
        task=spec.task,
        features=[Feature(name=n, dtype=str(data.seen[n].dtype)) for n in names],
        unit=spec.columns.unit,
        time=spec.columns.time,
        key=spec.columns.key,
    )
    output = task.scores(estimator, example)
    write_files(folder, estimator, serving, example, output, registry.settings.trusted_types)


def _pack(registry: Registry, data: TrainingData, folder: Path) -> str:
    """Add the packed form to the version's files, where it can be proved; what came of it."""
    from mlops_assets.lifecycle.packed.worker import convert_in_process

    made = convert_in_process(folder, data.unseen, registry.settings.trusted_types)
    if isinstance(made, str):
        return f"no: {made}"
    return f"proved the same to the bit on {made.hold_out_rows} rows of the hold-out"


def _log_evidence(client, run_id, spec, data, estimator, facts, folder: Path) -> dict[str, str]:
    """Log what the gate and the monitors will ask about; SHA-256 of each file, to be signed."""
    import numpy as np

    np.save(folder / ROWS_FILE, data.row_hashes)
    sample = reference.sample(spec, estimator, data.unseen)
    sample.to_parquet(folder / REFERENCE_FILE)
    profile = reference.profile(spec, estimator, data, sample)
    (folder / PROFILE_FILE).write_bytes(profile.written())
    (folder / RECORD_FILE).write_text(json.dumps(facts, indent=1), "utf-8")
    (folder / ENVIRONMENT_FILE).write_text(json.dumps(environment(), indent=0), "utf-8")
    files = [ROWS_FILE, REFERENCE_FILE, PROFILE_FILE, RECORD_FILE, ENVIRONMENT_FILE]
    answered = training.hold_out_answers(spec, estimator, data)
    if answered is not None:
        _hold_out_frame(answered).to_parquet(folder / HOLD_OUT_FILE)
        files.append(HOLD_OUT_FILE)
    for file in files:
        client.log_artifact(run_id, str(folder / file))
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}


def _hold_out_frame(answered: Answered) -> "pd.DataFrame":
    import pandas as pd

    columns = {
        "truth": answered.truth,
        "answer": [json.dumps(answer) for answer in answered.answers],
        "weight": answered.weights,
    }
    if answered.units is not None:
        columns["unit"] = answered.units
    return pd.DataFrame(columns)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
