"""The step of stages 6 to 8: live traffic of a window, and what it says about drift and decay."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import (
    DEPLOYMENT,
    DRIFT_REPORT,
    EVALUATION_REPORT,
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
from mlops_assets.assets.types import report_type
from mlops_assets.lifecycle.drift import drift
from mlops_assets.lifecycle.drift_html import drift_html
from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError
from mlops_assets.lifecycle.performance import labelled_answers, performance
from mlops_assets.lifecycle.performance_html import NotDrawnError, performance_html
from mlops_assets.lifecycle.recording import read_hold_out, read_reference
from mlops_assets.lifecycle.registry import CHAMPION, Version
from mlops_assets.lifecycle.reports import DriftReport, MetricEstimate, PerformanceReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager, MlflowResource, Platform, ReportIOManager

if TYPE_CHECKING:
    import pandas as pd

WITHIN_LIMITS = "within_limits"
NO_DECAY = "no_decay"
KINDS = {
    LIVE_PREDICTIONS: {"parquet"},
    DRIFT_REPORT: {"evidently", "json"},
    PERFORMANCE_REPORT: {"evidently", "json"},
}


def monitoring_assets(spec: ModelSpec, folder: Path, code: dict[str, str]) -> dg.AssetsDefinition:
    """``live_predictions``, ``drift_report`` and ``performance_report`` of a model.

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
        },
        internal_asset_deps={
            LIVE_PREDICTIONS: {key(spec, DEPLOYMENT), key(spec, VALIDATED_FEATURES)},
            DRIFT_REPORT: {key(spec, LIVE_PREDICTIONS)},
            PERFORMANCE_REPORT: {key(spec, LIVE_PREDICTIONS)},
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
        if LIVE_PREDICTIONS in wanted:
            live, events = collect(spec, folder, window, platform, frames)
            yield from events
        else:
            live = frames.load(key(spec, LIVE_PREDICTIONS), stored_as(window))
        version = _served(spec, live, platform)
        if DRIFT_REPORT in wanted:
            yield from _drift(spec, window, live, version, platform, reports, mlflow)
        if PERFORMANCE_REPORT in wanted:
            yield from _performance(spec, window, live, version, platform, reports, mlflow)

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


def _drift(
    spec: ModelSpec,
    window: Window,
    live: "pd.DataFrame",
    version: Version,
    platform: Platform,
    stored: ReportIOManager,
    mlflow: MlflowResource,
):
    answered = live[live["version"] == version.number]
    reference = read_reference(platform.registry, version)
    report = drift(spec, reference, answered, window=window.key, version=version.number)
    asset = key(spec, DRIFT_REPORT)
    metadata = _drift_metadata(report)
    if report.verdict in ("stable", "drifted"):
        page = stored.page(asset, stored_as(window))
        with page.as_local() as local:
            drift_html(report, reference, answered, local)
            link = mlflow.publish(version.run_id, local, "drift")
        report = report.model_copy(update={"html": str(page.path)})
        metadata["Evidently report"] = dg.MetadataValue.url(link)
        metadata["Evidently file"] = dg.MetadataValue.path(str(page.path))
    yield dg.MaterializeResult(asset_key=asset, value=report, metadata=metadata)
    yield dg.AssetCheckResult(
        asset_key=asset,
        check_name=WITHIN_LIMITS,
        passed=report.verdict == "stable",
        severity=dg.AssetCheckSeverity.WARN,
        description=_drift_words(report),
        metadata={"share of columns": display.number(report.share)},
    )


def _drift_words(report: DriftReport) -> str:
    named = [f"{c.column} ({c.verdict})" for c in report.columns if c.verdict != "stable"]
    return f"{report.verdict}: {', '.join(named)}" if named else report.verdict


def _drift_metadata(report: DriftReport) -> dict[str, Any]:
    calm = all(c.verdict not in ("drifted", "broken") for c in report.columns)
    return {
        "verdict": report.verdict,
        "drifted columns": sum(c.verdict == "drifted" for c in report.columns),
        "share of columns": display.number(report.share),
        "rows": report.rows,
        "version": report.version,
        **({} if calm else {"drifted": display.drifted_table(report)}),
        "columns": display.table(
            ["column", "kind", "statistic", "value", "threshold", "verdict", "reason"],
            [
                [c.column, c.kind, c.statistic, c.value, c.threshold, c.verdict, c.reason]
                for c in report.columns
            ],
        ),
        "drift by column": display.drift_plot(report),
    }


def _performance(
    spec: ModelSpec,
    window: Window,
    live: "pd.DataFrame",
    version: Version,
    platform: Platform,
    stored: ReportIOManager,
    mlflow: MlflowResource,
):
    answered, now = live[live["version"] == version.number], datetime.now(UTC)
    report = performance(
        spec,
        answered,
        _hold_out(stored, spec, version),
        window=window.key,
        version=version.number,
        now=now,
    )
    asset = key(spec, PERFORMANCE_REPORT)
    metadata: dict[str, Any] = {
        "verdict": report.verdict,
        "version": report.version,
        "predictions": report.predictions,
        "labelled": report.labelled,
    }
    groups = {
        "live": [report.realised] if report.realised else [],
        "hold-out": [report.hold_out] if report.hold_out else [],
    }
    if report.realised is not None:
        metadata[report.metric] = display.number(report.realised.value)
        metadata["realised"] = display.metric_table(groups)
        metadata["intervals"] = display.metric_plot(groups)
        rows = labelled_answers(spec, answered, now)
        page = stored.page(asset, stored_as(window))
        try:
            hold_out = read_hold_out(platform.registry, version)
            with page.as_local() as local:
                performance_html(report, spec.task_type, rows, hold_out, local)
                link = mlflow.publish(version.run_id, local, "performance")
        except (ArtifactError, NotDrawnError) as error:
            # The verdict does not need the page.
            metadata["Evidently report"] = f"none: {error}"
        else:
            report = report.model_copy(update={"html": str(page.path)})
            metadata["Evidently report"] = dg.MetadataValue.url(link)
            metadata["Evidently file"] = dg.MetadataValue.path(str(page.path))
    else:
        metadata["Evidently report"] = f"none: {report.reason}"
    yield dg.MaterializeResult(asset_key=asset, value=report, metadata=metadata)
    yield dg.AssetCheckResult(
        asset_key=asset,
        check_name=NO_DECAY,
        passed=report.verdict == "healthy",
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{report.verdict}: {report.labelled} of {report.predictions} answers labelled",
    )


def _hold_out(stored: ReportIOManager, spec: ModelSpec, version: Version) -> MetricEstimate | None:
    """The metric that the version had on its hold-out when it was judged."""
    asset = key(spec, EVALUATION_REPORT)
    judged = None if spec.cadence == "none" else version.tags["window"]
    if not stored.exists(asset, judged):
        return None
    report = stored.load(asset, judged)
    if report.verdict.challenger_version != version.number:
        return None
    return next(e for e in report.challenger if e.metric == spec.decay_metric)
