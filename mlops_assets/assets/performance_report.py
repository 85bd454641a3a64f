"""Stage 8: what a window's answers turned out to be worth, on labels that have matured."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import EVALUATION_REPORT, PERFORMANCE_REPORT, key, stored_as
from mlops_assets.lifecycle.decay.html import NotDrawnError, performance_html
from mlops_assets.lifecycle.decay.performance import labelled_answers, performance
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.recording import read_hold_out
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.reports import MetricEstimate
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import MlflowResource, Platform, ReportIOManager

if TYPE_CHECKING:
    import pandas as pd

NO_DECAY = "no_decay"


def performance_report(
    spec: ModelSpec,
    window: Window,
    live: "pd.DataFrame",
    version: Version,
    platform: Platform,
    stored: ReportIOManager,
    mlflow: MlflowResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The report, and the check on it."""
    answered, now = live[live["version"] == version.number], platform.now()
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
    if report.realised is not None and platform.pages:
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
        metadata["Evidently report"] = f"none: {report.reason or 'not asked for'}"
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
