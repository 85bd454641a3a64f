"""Stage 5: the accepted challenger becomes champion, and the endpoint is asked whether it is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets import cards
from mlops_assets.assets.keys import (
    DEPLOYMENT,
    EVALUATION_REPORT,
    VALIDATED_FEATURES,
    key,
    stage,
    stored_as,
    training_span,
    window_of,
)
from mlops_assets.assets.rollout_state import metadata, state_after
from mlops_assets.assets.types import report_type
from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.lifecycle.errors import ApprovalPending, RolloutError
from mlops_assets.lifecycle.reports import Deployment, EvaluationReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager, Notifier, Platform, ReportIOManager

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.journal import Entry

ENDPOINT = "endpoint"
APPROVAL = "approval"


def deployment_asset(spec: ModelSpec, code: dict[str, str]) -> dg.AssetsDefinition:
    """``deployment`` of a model: verifies the stored verdict again, whatever run asks."""

    @dg.asset(
        **stage(spec, DEPLOYMENT, code),
        ins={"report": dg.AssetIn(key(spec, EVALUATION_REPORT), input_manager_key="reports")},
        dagster_type=report_type(Deployment),
        description=f"{spec.description} Which version serves, since when, on whose word.".strip(),
        kinds={"mlflow"},
        output_required=False,  # nothing is deployed while a person's word is waited for
        check_specs=_check_specs(spec),
    )
    def deployment(
        context: dg.AssetExecutionContext,
        report: EvaluationReport,
        platform: Platform,
        frames: dg.ResourceParam[FrameIOManager],
        reports: dg.ResourceParam[ReportIOManager],
        notifier: Notifier,
    ):
        from mlops_assets.lifecycle.rollout.letting_in import let_in

        window = window_of(context, spec)
        try:
            entry = let_in(
                spec,
                platform.registry,
                platform.journal,
                report,
                data_version=hold_out_version(frames, spec, window),
                who=f"dagster run {context.run.run_id}",
            )
        except ApprovalPending as pending:
            context.log.info(str(pending))
            _tell(context, spec, pending, platform, notifier)
            yield from _waiting(spec, pending)
            return
        state = state_after(platform, entry)
        yield dg.MaterializeResult(
            value=state,
            data_version=dg.DataVersion(f"{state.version}-{entry.change}"),
            metadata=metadata(platform, state),
        )
        yield endpoint_check(platform, spec, state)
        if spec.gate.approval == "required":
            yield _approved(entry)
        cards.renew(context, platform, reports, spec, entry)

    return deployment


def _check_specs(spec: ModelSpec) -> list[dg.AssetCheckSpec]:
    endpoint = dg.AssetCheckSpec(
        ENDPOINT,
        asset=key(spec, DEPLOYMENT),
        blocking=True,
        description="The running endpoint serves the version and answers as it does.",
    )
    approval = dg.AssetCheckSpec(
        APPROVAL,
        asset=key(spec, DEPLOYMENT),
        description="A person has approved exactly this challenger on exactly these grounds.",
    )
    return [endpoint, approval] if spec.gate.approval == "required" else [endpoint]


def _tell(
    context: dg.AssetExecutionContext,
    spec: ModelSpec,
    pending: ApprovalPending,
    platform: Platform,
    notifier: Notifier,
) -> None:
    alert = Alert(
        model=spec.name,
        kind="approval",
        message=str(pending),
        link=f"{platform.settings.dagster_url}/guess/{spec.name}_approve",
    )
    notifier.send(alert, spec.alerts, context.log)


def _waiting(spec: ModelSpec, pending: ApprovalPending) -> Iterator[dg.AssetCheckResult]:
    for name, words in ((APPROVAL, str(pending)), (ENDPOINT, f"not asked: {pending}")):
        yield dg.AssetCheckResult(
            passed=False,
            check_name=name,
            asset_key=key(spec, DEPLOYMENT),
            severity=dg.AssetCheckSeverity.WARN,
            description=words,
        )


def _approved(entry: "Entry") -> dg.AssetCheckResult:
    given = entry.evidence.get("approval")
    if given is None:
        words = f"v{entry.version} serves since before approval was required: {entry.why}"
    else:
        words = f"approved by {given['who']} on {given['at']}: {given['why']}"
    return dg.AssetCheckResult(
        passed=given is not None,
        check_name=APPROVAL,
        severity=dg.AssetCheckSeverity.WARN,
        description=words,
    )


def hold_out_version(stored: FrameIOManager, spec: ModelSpec, window: Window) -> str:
    """The data version of the hold-out as it is stored now, not as it was when judged."""
    asset = key(spec, VALIDATED_FEATURES)
    windows = spec.grid.back_from(window.key, training_span(spec))
    if spec.cadence != "none":
        windows = windows[-spec.hold_out_windows :]
    frames = {w.key: stored.load(asset, stored_as(w)) for w in windows}
    held = training.split(spec, frames)[1] if spec.cadence == "none" else frames
    return training.data_version(held)


def endpoint_check(platform: Platform, spec: ModelSpec, state: Deployment) -> dg.AssetCheckResult:
    """Ask the endpoint whether it serves what the registry says."""
    version = platform.registry.version(spec.name, state.version)
    try:
        found = platform.ask_endpoint(version, pinned=state.share < 1)
    except RolloutError as error:
        return dg.AssetCheckResult(passed=False, check_name=ENDPOINT, description=str(error))
    return dg.AssetCheckResult(
        passed=True,
        check_name=ENDPOINT,
        description=f"{found['rows']} answers equal the model's own",
        metadata={"rows": found["rows"], "seconds until it served": found["waited"]},
    )
