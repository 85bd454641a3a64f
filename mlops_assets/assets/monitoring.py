"""The step of stages 6 to 9: live traffic of a window, what it says, and what to do about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.advice import NOTHING_TO_DO, advice
from mlops_assets.assets.drift_report import WITHIN_LIMITS, drift_report
from mlops_assets.assets.keys import (
    ADVICE,
    DEPLOYMENT,
    DRIFT_REPORT,
    LIVE_PREDICTIONS,
    PERFORMANCE_REPORT,
    VALIDATED_FEATURES,
    key,
    partitions,
    stored_as,
    window_before,
    window_of,
    windows_back,
)
from mlops_assets.assets.live_predictions import (
    LABEL_MATURITY,
    LABELS_DUE,
    LOG_COMPLETE,
    collect,
)
from mlops_assets.assets.performance_report import NO_DECAY, performance_report
from mlops_assets.assets.types import report_type
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.registry import CHAMPION, Version
from mlops_assets.lifecycle.reports import Advice, DriftReport, PerformanceReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.resources import FrameIOManager, MlflowResource, Platform, ReportIOManager

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    LIVE_PREDICTIONS: {"parquet"},
    DRIFT_REPORT: {"evidently", "json"},
    PERFORMANCE_REPORT: {"evidently", "json"},
    ADVICE: {"json"},
}


def monitoring_assets(spec: ModelSpec, folder: Path, code: dict[str, str]) -> dg.AssetsDefinition:
    """``live_predictions``, both reports on them, and ``advice`` of a model.

    Parameters
    ----------
    folder : Path
        Where the declaration lies; relative paths in it start from there.
    """

    def out(asset: str, dagster_type, manager: str, description: str) -> dg.AssetOut:
        return dg.AssetOut(
            key=key(spec, asset),
            dagster_type=dagster_type,
            io_manager_key=manager,
            is_required=False,
            description=description,
            code_version=code[asset],
            kinds=KINDS[asset],
            owners=spec.owners,
        )

    def check(name: str, asset: str, description: str) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(name, asset=key(spec, asset), description=description)

    frame = dg.DagsterType(_is_frame, name=f"{spec.name.title()}LivePredictions")

    @dg.multi_asset(
        name=f"{spec.name}__monitoring",
        outs={
            LIVE_PREDICTIONS: out(
                LIVE_PREDICTIONS, frame, "frames", "What was asked and answered, and what was true."
            ),
            DRIFT_REPORT: out(
                DRIFT_REPORT,
                report_type(DriftReport),
                "reports",
                "Live traffic against what the serving version was judged on.",
            ),
            PERFORMANCE_REPORT: out(
                PERFORMANCE_REPORT,
                report_type(PerformanceReport),
                "reports",
                "The realised metric on labels that have matured.",
            ),
            ADVICE: out(
                ADVICE,
                report_type(Advice),
                "reports",
                "Leave, recalibrate, refit, or fix the data; with reasons.",
            ),
        },
        internal_asset_deps={
            LIVE_PREDICTIONS: {key(spec, DEPLOYMENT), key(spec, VALIDATED_FEATURES)},
            DRIFT_REPORT: {key(spec, LIVE_PREDICTIONS)},
            PERFORMANCE_REPORT: {key(spec, LIVE_PREDICTIONS)},
            ADVICE: {key(spec, DRIFT_REPORT), key(spec, PERFORMANCE_REPORT)},
        },
        deps=[
            dg.AssetDep(key(spec, DEPLOYMENT), partition_mapping=window_before(spec)),
            dg.AssetDep(key(spec, VALIDATED_FEATURES), partition_mapping=windows_back(spec, 1)),
        ],
        check_specs=[
            check(LOG_COMPLETE, LIVE_PREDICTIONS, "The log has answers and no torn record."),
            check(
                LABEL_MATURITY,
                LIVE_PREDICTIONS,
                f"Of the answers whose labels are due, {LABELS_DUE:.0%} have one.",
            ),
            check(WITHIN_LIMITS, DRIFT_REPORT, "No column drifted, and none is broken."),
            check(NO_DECAY, PERFORMANCE_REPORT, "The realised metric keeps to the hold-out's."),
            check(NOTHING_TO_DO, ADVICE, "The advice is to leave the model as it is."),
        ],
        partitions_def=partitions(spec),
        can_subset=True,
        group_name=spec.name,
    )
    def monitoring(
        context: dg.AssetExecutionContext,
        platform: Platform,
        mlflow: MlflowResource,
        frames: dg.ResourceParam[FrameIOManager],
        reports: dg.ResourceParam[ReportIOManager],
    ):
        window = window_of(context, spec)
        wanted = {asset.path[-1] for asset in context.selected_asset_keys}
        if wanted == {ADVICE}:
            yield from advice(spec, window, platform, reports)
            return
        if LIVE_PREDICTIONS in wanted:
            live, events = collect(spec, folder, window, platform, frames)
            yield from events
        else:
            live = frames.load(key(spec, LIVE_PREDICTIONS), stored_as(window))
        version = _served(spec, live, platform)
        if DRIFT_REPORT in wanted:
            yield from drift_report(spec, window, live, version, platform, reports, mlflow)
        if PERFORMANCE_REPORT in wanted:
            yield from performance_report(
                spec, window, live, version, platform, frames, reports, mlflow
            )
        if ADVICE in wanted:
            yield from advice(spec, window, platform, reports)

    return monitoring


def _is_frame(_context, value: Any) -> bool:
    import pandas as pd

    return isinstance(value, pd.DataFrame)


def _served(spec: ModelSpec, live: "pd.DataFrame", platform: Platform) -> Version:
    """The version that answered most of the window; the champion where nothing was asked."""
    if len(live):
        return platform.registry.version(spec.name, int(live["version"].mode().iloc[0]))
    champion = platform.registry.at(spec.name, CHAMPION)
    if champion is None:
        raise EvidenceError(f"{spec.name} has no champion: nothing serves that could be watched")
    return champion
