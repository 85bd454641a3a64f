"""Stage 4: the judgement, and the gate that shows it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display, explained
from mlops_assets.assets.keys import (
    EVALUATION_REPORT,
    LIVE_PREDICTIONS,
    TRAINED_MODEL,
    key,
    stage,
    stored_as,
    training_features,
    window_of,
)
from mlops_assets.assets.types import report_type
from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.evaluation import evaluate, fingerprint
from mlops_assets.lifecycle.gate import looks
from mlops_assets.lifecycle.gate.evidence import Live
from mlops_assets.lifecycle.recording import read_candidate
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.reports import EvaluationReport, TrainedModel
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager, MlflowResource, Platform, ReportIOManager
from mlops_assets.resources.storage import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GATE = "gate"
CARD = "model_card/model_card.md"


def evaluation_report_asset(spec: ModelSpec, code: dict[str, str]) -> dg.AssetsDefinition:
    """``evaluation_report`` of a model; its check ``gate`` blocks what is not accepted."""

    @dg.asset(
        **stage(spec, EVALUATION_REPORT, code),
        ins={
            "trained": dg.AssetIn(key(spec, TRAINED_MODEL), input_manager_key="reports"),
            "features": training_features(spec),
        },
        dagster_type=report_type(EvaluationReport),
        description="Challenger and champion on a hold-out neither has seen, and the verdict.",
        kinds={"json"},
        check_specs=[
            dg.AssetCheckSpec(
                GATE,
                asset=key(spec, EVALUATION_REPORT),
                blocking=True,
                description="Only a challenger that reaches every floor and is not worse than the "
                f"champion goes on: {spec.gate.test_name} on {spec.gate.metric}, "
                f"margin {spec.gate.margin:g}, alpha {spec.gate.alpha:g}.",
            )
        ],
    )
    def evaluation_report(
        context: dg.AssetExecutionContext,
        trained: TrainedModel,
        features: Any,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
        frames: dg.ResourceParam[FrameIOManager],
        mlflow: MlflowResource,
    ):
        window = window_of(context, spec)
        known = features if isinstance(features, dict) else {window.key: features}
        before = _stored(reports, spec, window)
        report, drawn = _judge(spec, window, trained, known, platform, before, _live(frames, spec))
        if report is before:
            context.log.info("judged on exactly this before: nothing to do")
        _log_metrics(platform, trained, report)
        page = reports.page(key(spec, EVALUATION_REPORT), stored_as(window))
        report = report.model_copy(update={"html": str(page.path)})
        yield dg.MaterializeResult(
            value=report,
            data_version=dg.DataVersion(report.fingerprint),
            metadata=_metadata(report)
            | _publish(spec, report, drawn, trained, page, platform, mlflow),
        )
        yield _gate(report)

    return evaluation_report


def _judge(
    spec: ModelSpec,
    window: Window,
    trained: TrainedModel,
    frames: dict,
    platform: Platform,
    before: EvaluationReport | None,
    live: Live | None,
) -> "tuple[EvaluationReport, dict[str, Figure] | None]":
    """The report with its plots; no plots where it is the stored one, whose page has them."""
    from mlops_assets.lifecycle.explaining.explain import explain
    from mlops_assets.lifecycle.explaining.pictures import pictures

    registry = platform.registry
    challenger = registry.version(spec.name, trained.version)
    champion = registry.at(spec.name, CHAMPION)
    seen, held = training.split(spec, frames)
    held_version = training.data_version(held)
    if before is not None and before.verdict.challenger_digest == challenger.digest:
        serves_already = champion is not None and champion.number == challenger.number
        now = fingerprint(spec, challenger, champion, held_version, live)
        if serves_already or before.fingerprint == now:
            return before, None
    question = fingerprint(spec, challenger, champion, held_version)
    look = looks.taken(registry, spec.name, held_version, question)
    with TemporaryDirectory(prefix="mlops-judge-") as folder:
        rival = None
        if champion is not None:
            rival = read_candidate(registry, champion, Path(folder))
        baseline = None
        if spec.gate.baseline is not None and champion is None:
            baseline = training.fit(spec, training.join_windows(seen), spec.gate.baseline)
        candidate = read_candidate(registry, challenger, Path(folder))
        report = evaluate(
            spec, window.key, seen, held, candidate, rival, baseline, live=live, look=look
        )
        if not platform.pages:
            return report, {}
        explanation = explain(spec, seen, held, candidate, rival)
        drawn = pictures(spec, seen, held, candidate, rival)
        return report.model_copy(update={"explanation": explanation}), drawn


def _live(stored: FrameIOManager, spec: ModelSpec) -> Live | None:
    """The newest live rows, where the gate asks for them and there are any."""
    if spec.gate.hold_out.representative is None:
        return None
    newest = stored.newest(spec.name, LIVE_PREDICTIONS)
    return None if newest is None else Live(*newest)


def _stored(stored: ReportIOManager, spec: ModelSpec, window: Window) -> EvaluationReport | None:
    asset = key(spec, EVALUATION_REPORT)
    if not stored.exists(asset, stored_as(window)):
        return None
    return stored.load(asset, stored_as(window))


def _publish(
    spec: ModelSpec,
    report: EvaluationReport,
    drawn: "dict[str, Figure] | None",
    trained: TrainedModel,
    page: Page,
    platform: Platform,
    mlflow: MlflowResource,
) -> dict[str, Any]:
    """Write the page beside the report and to MLflow, and the model card; links to both."""
    from mlops_assets.lifecycle.card_publishing import card_of, publish_card
    from mlops_assets.lifecycle.report_html.evaluation import evaluation_page

    card = card_of(platform.registry, platform.journal, spec, trained.version, report)
    publish_card(platform.registry, card)
    if drawn is not None or not page.path.exists():
        with page.as_local() as local:
            local.write_text(evaluation_page(spec, report, trained, drawn or {}), "utf-8")
            mlflow.publish(trained.run_id, local, "evaluation")
    link = mlflow.artifact(trained.run_id, f"evaluation/{page.path.name}")
    return {
        "report": dg.MetadataValue.url(link),
        "report file": dg.MetadataValue.path(str(page.path)),
        "model card": dg.MetadataValue.url(mlflow.artifact(trained.run_id, CARD)),
    }


def _log_metrics(platform: Platform, trained: TrainedModel, report: EvaluationReport) -> None:
    client = platform.registry.client
    for estimate in report.challenger:
        client.log_metric(trained.run_id, f"hold_out.{estimate.metric}", estimate.value)
    client.set_model_version_tag(
        trained.model, str(trained.version), "mlops.verdict", report.verdict.verdict
    )


def _metadata(report: EvaluationReport) -> dict[str, Any]:
    groups = {
        "challenger": report.challenger,
        "champion": report.champion,
        "baseline": report.baseline,
    }
    metadata: dict[str, Any] = {
        "verdict": report.verdict.verdict,
        "accepted": report.verdict.accepted,
        "reasons": "; ".join(report.verdict.reasons),
        "rules": display.table(
            ["rule", "status", "observed", "limit", "low", "high", "what was found"],
            [[r.name, r.status, r.observed, r.limit, r.low, r.high, r.words] for r in report.rules],
        ),
        "metrics": display.metric_table(groups),
        "intervals": display.metric_plot(groups),
        "hold-out rows": report.hold_out_rows,
        "hold-out units": report.hold_out_units,
        "seen by a model": display.table(
            ["version", "training rows", "shared with the hold-out", "trained until"],
            [[u.version, u.training_rows, u.shared_rows, u.trained_until] for u in report.unseen],
        ),
    }
    metadata |= {e.metric: display.number(e.value) for e in report.challenger}
    if report.comparison is not None:
        c = report.comparison
        metadata |= {
            "gain": display.number(c.gain),
            "comparison": display.table(
                ["test", "rival", "gain", "low", "high", "margin", "units", "units needed"],
                [[c.test, c.rival, c.gain, c.low, c.high, c.margin, c.units, c.units_needed]],
            ),
        }
    if report.explanation is not None:
        metadata |= explained.metadata(report.explanation)
    return metadata


def _gate(report: EvaluationReport) -> dg.AssetCheckResult:
    verdict, compared = report.verdict, report.comparison
    return dg.AssetCheckResult(
        check_name=GATE,
        passed=verdict.accepted,
        description=f"{verdict.verdict}: {'; '.join(verdict.reasons)}",
        metadata={
            "verdict": verdict.verdict,
            "challenger": f"v{verdict.challenger_version}",
            "champion": f"v{verdict.champion_version}" if verdict.champion_version else "none",
            **{e.metric: display.number(e.value) for e in report.challenger},
            **({"gain": display.number(compared.gain)} if compared else {}),
            "rules": display.table(
                ["rule", "status", "what was found"],
                [[rule.name, rule.status, rule.words] for rule in report.rules],
            ),
        },
    )
