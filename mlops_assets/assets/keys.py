"""Names of a model's assets, and how their windows hang together."""

import warnings
from typing import Any

import dagster as dg

from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window

RAW_DATA = "raw_data"
VALIDATED_FEATURES = "validated_features"
TRAINED_MODEL = "trained_model"
EVALUATION_REPORT = "evaluation_report"
DEPLOYMENT = "deployment"
LIVE_PREDICTIONS = "live_predictions"
DRIFT_REPORT = "drift_report"
PERFORMANCE_REPORT = "performance_report"
ADVICE = "advice"

MODEL_TAG = "mlops/model"
# The button "Materialize" runs it: a job without tags, for any assets.
IMPLICIT_JOB = "__ASSET_JOB"
ALERTS_TAG = "mlops/alerts"
EXCLUSIVE_TAG = "mlops/exclusive"
TRIGGER_TAG = "mlops/trigger"
REPORT_TAG = "mlops/report"
REPORT_WINDOW_TAG = "mlops/report_window"
ADVICE_TAG = "mlops/advice"


def key(spec: ModelSpec, asset: str) -> dg.AssetKey:
    """The key of a model's asset."""
    return dg.AssetKey([spec.name, asset])


def partitions(spec: ModelSpec) -> dg.TimeWindowPartitionsDefinition | None:
    """The model's windows as Dagster partitions; None for ``cadence: none``."""
    if spec.cadence == "none" or spec.start is None:
        return None
    start = spec.start.isoformat()
    end = None if spec.end is None else spec.end.isoformat()
    if spec.cadence == "daily":
        return dg.DailyPartitionsDefinition(start_date=start, end_date=end)
    if spec.cadence == "weekly":
        # Dagster counts from Sunday, Python from Monday.
        day = (spec.start.weekday() + 1) % 7
        return dg.WeeklyPartitionsDefinition(start_date=start, end_date=end, day_offset=day)
    return dg.MonthlyPartitionsDefinition(start_date=start, end_date=end)


def windows_back(spec: ModelSpec, count: int) -> dg.PartitionMapping | None:
    """A window depends on itself and the ``count - 1`` before it."""
    return _offsets(spec, -(count - 1), 0)


def window_before(spec: ModelSpec) -> dg.PartitionMapping | None:
    """A window depends on the one before it."""
    return _offsets(spec, -1, -1)


def _offsets(spec: ModelSpec, first: int, last: int) -> dg.PartitionMapping | None:
    if spec.cadence == "none":
        return None
    with warnings.catch_warnings():
        # Beta, but without it the first windows of a grid could not be materialized at all:
        # nothing lies before them.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.TimeWindowPartitionMapping(
            start_offset=first, end_offset=last, allow_nonexistent_upstream_partitions=True
        )


def training_span(spec: ModelSpec) -> int:
    """Windows that a training and its judgement read."""
    if spec.cadence == "none":
        return 1
    return spec.training.windows + spec.hold_out_windows


def stage(spec: ModelSpec, asset: str, code: dict[str, str]) -> dict[str, Any]:
    """What the assets of all stages that hand on a report have in common."""
    return {
        "key": key(spec, asset),
        "partitions_def": partitions(spec),
        "group_name": spec.name,
        "owners": spec.owners,
        "code_version": code[asset],
        "io_manager_key": "reports",
    }


def training_features(spec: ModelSpec) -> dg.AssetIn:
    """The feature windows that a training and its judgement read, by window."""
    return dg.AssetIn(
        key(spec, VALIDATED_FEATURES),
        partition_mapping=windows_back(spec, training_span(spec)),
        metadata={"windows": "many"},
        input_manager_key="frames",
    )


def windows_of(context: dg.AssetExecutionContext, spec: ModelSpec) -> list[Window]:
    """The windows a step was asked for, oldest first."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return [spec.grid.window("")]
    return [spec.grid.window(k) for k in sorted(context.partition_keys)]


def window_of(context: dg.AssetExecutionContext, spec: ModelSpec) -> Window:
    """The one window a step was asked for.

    Raises
    ------
    dagster.Failure
        When it was asked for several: training and what follows go window by window.
    """
    windows = windows_of(context, spec)
    if len(windows) > 1:
        raise dg.Failure(f"{context.asset_key.to_user_string()} takes one window a run")
    return windows[0]


def stored_as(window: Window) -> str | None:
    """The window's partition key; None where an asset has no partitions."""
    return None if window.start is None else window.key


def models_of(run: dg.DagsterRun) -> set[str]:
    """The models that a run is about: by its tag, else by the assets that a person chose."""
    if MODEL_TAG in run.tags:
        return {run.tags[MODEL_TAG]}
    return {asset.path[0] for asset in _chosen(run) if len(asset.path) > 1}


def words_for(run: dg.DagsterRun) -> str:
    """What a run was: its job, or the assets that a person chose without one."""
    if run.job_name != IMPLICIT_JOB:
        return run.job_name
    chosen = ", ".join(sorted(asset.to_user_string() for asset in _chosen(run)))
    return f"materializing {chosen}" if chosen else "materializing"


def _chosen(run: dg.DagsterRun) -> set[dg.AssetKey]:
    checked = {check.asset_key for check in run.asset_check_selection or ()}
    return set(run.asset_selection or ()) or checked
