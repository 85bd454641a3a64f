"""Stage 3: a model version in MLflow, registered as challenger."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import (
    ADVICE_TAG,
    TRAINED_MODEL,
    key,
    stage,
    training_features,
    window_of,
)
from mlops_assets.assets.types import report_type
from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.artifact import Serving, load_estimator, read_serving
from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError
from mlops_assets.lifecycle.fingerprint import environment_digest, git_commit
from mlops_assets.lifecycle.recalibration import fitted, read_base, recalibration_data
from mlops_assets.lifecycle.recording import read_record, record
from mlops_assets.lifecycle.registry import CHALLENGER, CHAMPION, Registry, Version
from mlops_assets.lifecycle.reports import TrainedModel
from mlops_assets.lifecycle.reproduce import refit
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.training import TrainingData
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import MlflowResource, Platform

RECALIBRATE, REFIT = "recalibrate", "refit"
SAFE_TO_LOAD = "safe_to_load"
SIGNATURE = "signature"
REPRODUCIBLE = "reproducible"
REPRODUCED_TAG = "reproduced"
SAME = "fitted twice on the same rows, it is the same to the bit"
# A second fit doubles what training costs.
REFIT_SECONDS = 60.0


def trained_model_asset(spec: ModelSpec, base: Path, code: dict[str, str]) -> dg.AssetsDefinition:
    """``trained_model`` of a model: fitted once for each set of inputs, then found again."""

    @dg.asset(
        **stage(spec, TRAINED_MODEL, code),
        ins={"features": training_features(spec)},
        dagster_type=report_type(TrainedModel),
        description="A version in MLflow's registry, with the alias challenger.",
        kinds={"mlflow", "scikitlearn"},
        pool="training",
        check_specs=[
            *_reproducible_spec(spec),
            dg.AssetCheckSpec(
                SAFE_TO_LOAD,
                asset=key(spec, TRAINED_MODEL),
                blocking=True,
                description="The version's files have the registered digest and hold no class "
                "beyond the platform's list.",
            ),
            dg.AssetCheckSpec(
                SIGNATURE,
                asset=key(spec, TRAINED_MODEL),
                description="The hold-out has every feature in the type that the version takes.",
            ),
        ],
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        features: Any,
        platform: Platform,
        mlflow: MlflowResource,
    ):
        window = window_of(context, spec)
        frames = features if isinstance(features, dict) else {window.key: features}
        seen, unseen = training.split(spec, frames)
        if _recalibrates(context):
            data = _recalibration(spec, platform.registry, seen, unseen, code[TRAINED_MODEL])
        else:
            _require_windows(spec, seen)
            data = TrainingData.of(spec, seen, unseen, code[TRAINED_MODEL])
        known = platform.registry.find(spec.name, data.fingerprint)
        if known is None:
            model = _train(context, spec, base, window, data, platform, mlflow)
        else:
            context.log.info(f"{known} was trained from exactly these inputs: nothing to do")
            model = read_record(platform.registry, known)
        propose(platform.registry, model)
        yield dg.MaterializeResult(
            value=model,
            data_version=dg.DataVersion(model.digest),
            metadata=_metadata(platform, mlflow, model),
        )
        yield from _file_checks(spec, platform, model, data)

    return trained_model


def _reproducible_spec(spec: ModelSpec) -> list[dg.AssetCheckSpec]:
    if not spec.training.reproduce:
        return []
    return [
        dg.AssetCheckSpec(
            REPRODUCIBLE,
            asset=key(spec, TRAINED_MODEL),
            description="Fitted once more on the same rows, the model is the same to the bit. "
            f"Tried where a fit takes less than {REFIT_SECONDS:g} seconds.",
        )
    ]


def propose(registry: Registry, model: TrainedModel) -> None:
    """Give a version the alias challenger, unless it is the champion already."""
    if registry.aliases(model.model).get(CHAMPION) != model.version:
        registry.set_alias(model.model, CHALLENGER, model.version)


def _recalibrates(context: dg.AssetExecutionContext) -> bool:
    """Whether the run was asked to recalibrate the champion, by its tag."""
    asked = context.run.tags.get(ADVICE_TAG, REFIT)
    if asked not in (REFIT, RECALIBRATE):
        raise EvidenceError(f"the run's tag {ADVICE_TAG} is {asked!r}: nothing is trained on that")
    return asked == RECALIBRATE


def _recalibration(
    spec: ModelSpec, registry: Registry, seen: dict, unseen: dict, code_version: str
) -> TrainingData:
    champion = registry.at(spec.name, CHAMPION)
    if champion is None:
        raise EvidenceError(f"{spec.name} has no champion that could be recalibrated")
    with TemporaryDirectory(prefix="mlops-base-") as name:
        base = read_base(registry, champion, Path(name))
    return recalibration_data(spec, base, seen, unseen, code_version)


def _require_windows(spec: ModelSpec, seen: dict) -> None:
    if spec.cadence == "none":
        return
    least = spec.training.min_windows or spec.training.windows
    if len(seen) < least:
        raise EvidenceError(
            f"{spec.name}: {len(seen)} windows to train on, {least} wanted "
            f"(training.windows); the first window is {spec.start}"
        )


def _train(
    context: dg.AssetExecutionContext,
    spec: ModelSpec,
    base: Path,
    window: Window,
    data: TrainingData,
    platform: Platform,
    mlflow: MlflowResource,
) -> TrainedModel:
    tags = {
        "mlops.fingerprint": data.fingerprint,
        "mlops.data_version": data.data_version,
        "mlops.code_version": data.code_version,
        "mlops.environment": environment_digest(),
        "mlflow.source.git.commit": git_commit(base),
    }
    with mlflow.training_run(context, spec.name, window.key, tags) as run:
        estimator = fitted(spec, data)
        return record(platform.registry, spec, window, data, estimator, run, context.run.run_id)


def _metadata(platform: Platform, mlflow: MlflowResource, model: TrainedModel) -> dict[str, Any]:
    client = platform.registry.client
    experiment = client.get_run(model.run_id).info.experiment_id
    return {
        "version": model.version,
        "MLflow run": dg.MetadataValue.url(mlflow.url(model.run_id, experiment)),
        "training rows": model.rows,
        "training windows": ", ".join(model.training_windows),
        "fit seconds": display.number(model.metrics["fit_seconds"]),
        "digest": model.digest,
        "plain arrays": model.packed,
        "git commit": model.git_commit,
        "parameters": display.table(["parameter", "value"], sorted(model.params.items())),
        "features": ", ".join(model.features),
    }


def _file_checks(
    spec: ModelSpec, platform: Platform, model: TrainedModel, data: TrainingData
) -> Iterator[dg.AssetCheckResult]:
    version = platform.registry.version(model.model, model.version)
    try:
        with TemporaryDirectory(prefix="mlops-check-") as name:
            folder = platform.registry.files.take(version, Path(name))
            load_estimator(folder, platform.settings.trusted_types)
            serving = read_serving(folder)
            reproduced = _reproducible(spec, platform.registry, version, model, data, folder)
    except ArtifactError as error:
        yield dg.AssetCheckResult(passed=False, check_name=SAFE_TO_LOAD, description=str(error))
        return
    yield from reproduced
    yield dg.AssetCheckResult(
        passed=True,
        check_name=SAFE_TO_LOAD,
        description="digest and classes are as registered",
        metadata={"digest": model.digest},
    )
    yield _signature(serving, data)


def _reproducible(
    spec: ModelSpec,
    registry: Registry,
    version: Version,
    model: TrainedModel,
    data: TrainingData,
    folder: Path,
) -> list[dg.AssetCheckResult]:
    """Fit once more, unless that was done before or takes too long."""
    if not spec.training.reproduce:
        return []
    took = model.metrics["fit_seconds"]
    words = version.tags.get(REPRODUCED_TAG)
    if words is None and took >= REFIT_SECONDS:
        words = f"not tried: the fit took {took:.0f} s; run `mlops-assets reproduce {spec.name}@"
        words += f"{version.number}`"
    elif words is None:
        words = refit(spec, data, folder) or SAME
        registry.set_tag(version.model, version.number, REPRODUCED_TAG, words)
    return [
        dg.AssetCheckResult(
            passed=words == SAME,
            check_name=REPRODUCIBLE,
            severity=dg.AssetCheckSeverity.WARN,
            description=words,
            metadata={"fit seconds": display.number(took)},
        )
    ]


def _signature(serving: Serving, data: TrainingData) -> dg.AssetCheckResult:
    found = {str(name): str(dtype) for name, dtype in data.unseen.dtypes.items()}
    differs = [
        f"{f.name} is {found.get(f.name, 'missing')}, trained on {f.dtype}"
        for f in serving.features
        if found.get(f.name) != f.dtype
    ]
    return dg.AssetCheckResult(
        passed=not differs,
        check_name=SIGNATURE,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(differs) or f"{len(serving.features)} features, each in its type",
        metadata={"features": len(serving.features)},
    )
