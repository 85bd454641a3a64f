"""Stage 7: a window's live traffic against what the serving version was judged on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import DRIFT_REPORT, key, stored_as
from mlops_assets.lifecycle.drift.html import drawable, drift_html
from mlops_assets.lifecycle.drift.judge import drift
from mlops_assets.lifecycle.recording import read_profile, read_reference
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.reports import DriftReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import MlflowResource, Platform, ReportIOManager

if TYPE_CHECKING:
    import pandas as pd

WITHIN_LIMITS = "within_limits"


def drift_report(
    spec: ModelSpec,
    window: Window,
    live: "pd.DataFrame",
    version: Version,
    platform: Platform,
    stored: ReportIOManager,
    mlflow: MlflowResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The report, and the check on it."""
    answered = live[live["version"] == version.number]
    profile = read_profile(platform.registry, version)
    samples = None
    if spec.monitoring.drift.multivariate:
        samples = read_reference(platform.registry, version), answered
    report = drift(
        spec,
        profile,
        answered,
        window=window.key,
        version=version.number,
        samples=samples,
        unit="unit",
    )
    asset = key(spec, DRIFT_REPORT)
    metadata = _drift_metadata(report)
    if platform.pages and report.verdict in ("stable", "drifted") and drawable(report):
        reference = read_reference(platform.registry, version)
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
    joint = report.multivariate
    named += [f"all columns together ({joint.verdict})"] if joint and joint.value else []
    return f"{report.verdict}: {', '.join(named)}" if named else report.verdict


def _drift_metadata(report: DriftReport) -> dict[str, Any]:
    calm = all(c.verdict not in ("drifted", "broken") for c in report.columns)
    return {
        "verdict": report.verdict,
        "drifted columns": sum(c.verdict == "drifted" for c in report.columns),
        "share of columns": display.number(report.share),
        "rows": report.rows,
        "version": report.version,
        "calibration": report.calibration,
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
