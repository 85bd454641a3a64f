"""Stage 8: what a window's answers turned out to be worth, on labels that have matured."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import (
    EVALUATION_REPORT,
    LIVE_PREDICTIONS,
    PERFORMANCE_REPORT,
    key,
    stored_as,
)
from mlops_assets.lifecycle.decay.figures import maturity_figure, trend_figure
from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.decay.html import NotDrawnError, performance_html
from mlops_assets.lifecycle.decay.labelled import labelled_window
from mlops_assets.lifecycle.decay.maturity import SECONDS_A_DAY, maturity
from mlops_assets.lifecycle.decay.performance import performance
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.evaluation import policy_hash
from mlops_assets.lifecycle.ground_truth import Place
from mlops_assets.lifecycle.recording import read_hold_out
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.reports import LabelMaturity, PerformanceReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.tasks.base import places
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager, MlflowResource, Platform, ReportIOManager

if TYPE_CHECKING:
    import pandas as pd

NO_DECAY = "no_decay"
WINDOWS_BEFORE = 8
PREDICTIONS_A_WINDOW = 20_000


def performance_report(
    spec: ModelSpec,
    window: Window,
    live: "pd.DataFrame",
    version: Version,
    platform: Platform,
    frames: FrameIOManager,
    stored: ReportIOManager,
    mlflow: MlflowResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The report, and the check on it."""
    answered, now = live[live["version"] == version.number], platform.now()
    hold_out, problem = _hold_out(platform, stored, spec, version)
    earlier = _earlier(spec, window, stored)
    report = performance(
        spec,
        answered,
        hold_out,
        window=window.key,
        version=version.number,
        now=now,
        earlier=earlier,
        maturity=_maturity(spec, window, answered, platform, frames),
    )
    asset = key(spec, PERFORMANCE_REPORT)
    metadata = _metadata(spec, report, earlier)
    if problem:
        metadata["recorded hold-out answers"] = f"not used: {problem}"
    if report.realised is not None and platform.pages:
        rows = labelled_window(spec, answered, now).answered
        page = stored.page(asset, stored_as(window))
        try:
            with page.as_local() as local:
                performance_html(report, spec.task_type, rows, hold_out.rows, local)
                link = mlflow.publish(version.run_id, local, "performance")
        except NotDrawnError as error:
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
        description=f"{report.verdict}: {report.reason}",
    )


def _metadata(
    spec: ModelSpec, report: PerformanceReport, earlier: Sequence[PerformanceReport]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "verdict": report.verdict,
        "reason": report.reason,
        "version": report.version,
        "predictions": report.predictions,
        "labelled": report.labelled,
        "labels due": report.due,
        "due and known": report.known,
    }
    if report.p_value is not None:
        metadata["p value"] = display.number(report.p_value)
    if report.realised is not None:
        groups = {"live": [report.realised]}
        if report.hold_out is not None:
            groups["hold-out"] = [report.hold_out]
        metadata[report.metric] = display.number(report.realised.value)
        metadata["realised"] = display.metric_table(groups)
    if report.kpis:
        metadata["KPIs"] = display.metric_table({"live": report.kpis})
        metadata |= {e.metric: display.number(e.value) for e in report.kpis}
    if report.calibration is not None:
        metadata["observed / expected"] = display.number(report.calibration.ratio)
        metadata["calibration"] = _calibration_words(report)
    if report.discrimination is not None:
        metadata["discrimination"] = _discrimination_words(report)
    if report.maturity is not None:
        delay = spec.columns.label_delay.total_seconds() / SECONDS_A_DAY
        metadata["label maturity"] = report.maturity.words
        metadata["labels by age"] = display.plot(
            maturity_figure(report.maturity, delay), "label maturity"
        )
    if report.estimated is not None:
        # Dagster draws a number over time and leaves out what stands beside it.
        if report.estimated.trusted:
            metadata[f"estimated {report.metric}"] = display.number(report.estimated.estimate.value)
        metadata["estimated without labels"] = _estimate_table(report)
    if report.realised is not None or report.estimated is not None:
        own = [r for r in earlier if r.metric == report.metric]
        metadata["trend"] = display.plot(trend_figure([*own, report]), "metric by window")
    if report.missing:
        metadata["not told"] = display.table(["part", "why"], report.missing.items())
    return metadata


def _calibration_words(report: PerformanceReport) -> str:
    c = report.calibration
    assert c is not None
    words = f"observed / expected {c.ratio:.4g} [{c.low:.4g}, {c.high:.4g}]"
    if c.slope is not None:
        words += f", slope {c.slope:.3g} [{c.slope_low:.3g}, {c.slope_high:.3g}]"
    if c.hold_out_ratio is not None:
        words += f", on the hold-out {c.hold_out_ratio:.4g}"
    return f"{'off' if c.off else 'right'}: {words}"


def _discrimination_words(report: PerformanceReport) -> str:
    d = report.discrimination
    assert d is not None
    e = d.realised
    live = f"{e.metric} {e.value:.4g} [{e.low:.4g}, {e.high:.4g}]"
    if d.hold_out is None or d.p_value is None:
        return f"not compared: {live}; the hold-out's is not known"
    words = f"{live}, hold-out {d.hold_out.value:.4g}, p {d.p_value:.2g}"
    return f"{'lost' if d.lost else 'held'}: {words}"


def _estimate_table(report: PerformanceReport) -> dg.MarkdownMetadataValue:
    e = report.estimated
    assert e is not None
    held = {True: "held", False: "did not hold", None: "could not be checked"}
    found = f"{e.estimate.value:.4g} [{e.estimate.low:.4g}, {e.estimate.high:.4g}]"
    rows = [
        (f"{report.metric} {found}", "trusted" if e.trusted else "not trusted", "never a verdict")
    ]
    rows += [(a.name, held[a.holds], a.words) for a in e.assumptions]
    return display.table(["estimate and what it rests on", "", ""], rows)


def _hold_out(
    platform: Platform, stored: ReportIOManager, spec: ModelSpec, version: Version
) -> tuple[HoldOut, str]:
    """What the version was judged to be worth; why its recorded answers are not used."""
    rows, problem = None, ""
    try:
        rows = read_hold_out(platform.registry, version)
    except ArtifactError as error:
        problem = str(error)
    asset = key(spec, EVALUATION_REPORT)
    judged = None if spec.cadence == "none" else version.tags["window"]
    if not stored.exists(asset, judged):
        return HoldOut(rows=rows), problem
    report = stored.load(asset, judged)
    verdict = report.verdict
    # Another declaration's intervals would be read at a wrong level.
    if verdict.challenger_version != version.number or verdict.policy_hash != policy_hash(spec):
        return HoldOut(rows=rows), problem
    judged_by = {e.metric: e for e in report.challenger}
    return HoldOut(judged_by, report.hold_out_units, rows), problem


def _earlier(spec: ModelSpec, window: Window, stored: ReportIOManager) -> list[PerformanceReport]:
    asset = key(spec, PERFORMANCE_REPORT)
    before = [w.key for w in _windows_before(spec, window)]
    return [stored.load(asset, w) for w in before if stored.exists(asset, w)]


def _windows_before(spec: ModelSpec, window: Window) -> list[Window]:
    if spec.cadence == "none":
        return []
    return spec.grid.back_from(window.key, WINDOWS_BEFORE + 1)[:-1]


def _maturity(
    spec: ModelSpec,
    window: Window,
    answered: "pd.DataFrame",
    platform: Platform,
    frames: FrameIOManager,
) -> tuple[LabelMaturity | None, str]:
    """The curve from the predictions of the windows before, at most 20,000 of each."""
    import pandas as pd

    asset = key(spec, LIVE_PREDICTIONS)
    names = ["prediction_id", "unit", "at", spec.label_column]
    before = [w.key for w in _windows_before(spec, window)]
    found = [frames.columns(asset, w, names) for w in before if frames.exists(asset, w)]
    if not found:
        return None, "no window before has live predictions"
    rows = pd.concat([f.iloc[places(len(f), PREDICTIONS_A_WINDOW)] for f in found])
    came = platform.feedback_log.first_came(spec.name, _named(rows))
    return maturity(
        rows["at"].reset_index(drop=True),
        pd.Series(pd.to_datetime(came, utc=True)),
        rows[spec.label_column].notna().to_numpy(),
        answered["at"],
        platform.now(),
    )


def _named(rows: "pd.DataFrame") -> list[tuple[str, Place | None]]:
    """Prediction id and place of each row, as the feedback log knows them."""
    moments = rows["at"].dt.as_unit("us").astype("int64")
    return [
        (each, (unit, at) if isinstance(unit, str) else None)
        for each, unit, at in zip(rows["prediction_id"], rows["unit"], moments, strict=True)
    ]
