"""Stage 5: the accepted challenger becomes champion, and the endpoint is asked whether it is."""

from typing import TYPE_CHECKING

import dagster as dg

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
from mlops_assets.lifecycle.endpoint import check_endpoint
from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.evaluation import policy_hash
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.reports import Deployment, EvaluationReport
from mlops_assets.lifecycle.rollout.strategies import STRATEGIES
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager, Platform

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.journal import Entry

ENDPOINT = "endpoint"


def deployment_asset(spec: ModelSpec, code: dict[str, str]) -> dg.AssetsDefinition:
    """``deployment`` of a model: verifies the stored verdict again, whatever run asks."""

    @dg.asset(
        **stage(spec, DEPLOYMENT, code),
        ins={"report": dg.AssetIn(key(spec, EVALUATION_REPORT), input_manager_key="reports")},
        dagster_type=report_type(Deployment),
        description=f"{spec.description} Which version serves, since when, on whose word.".strip(),
        kinds={"mlflow"},
        check_specs=[
            dg.AssetCheckSpec(
                ENDPOINT,
                asset=key(spec, DEPLOYMENT),
                blocking=True,
                description="The running endpoint serves the version and answers as it does.",
            )
        ],
    )
    def deployment(
        context: dg.AssetExecutionContext,
        report: EvaluationReport,
        platform: Platform,
        frames: dg.ResourceParam[FrameIOManager],
    ):
        window = window_of(context, spec)
        entry = _let_in(spec, report, platform, _hold_out_version(frames, spec, window), context)
        state = state_after(platform, entry)
        yield dg.MaterializeResult(
            value=state,
            data_version=dg.DataVersion(f"{state.version}-{entry.change}"),
            metadata=metadata(platform, state),
        )
        yield _endpoint_check(platform, spec, state)

    return deployment


def _let_in(
    spec: ModelSpec,
    report: EvaluationReport,
    platform: Platform,
    data_version: str,
    context: dg.AssetExecutionContext,
) -> "Entry":
    """Promote the challenger, or begin its rollout; the change that has brought it so far."""
    from mlops_assets.lifecycle.rollout.history import last_step
    from mlops_assets.lifecycle.rollout.promotion import promote
    from mlops_assets.lifecycle.rollout.steps import begin

    policy = spec.deployment
    strategy = STRATEGIES[policy.strategy]
    champion = platform.registry.aliases(spec.name).get(CHAMPION)
    bound = {
        "policy_hash": policy_hash(spec),
        "data_version": data_version,
        "who": f"dagster run {context.run.run_id}",
    }
    # A first model has nobody to be compared with, and one that serves already nowhere to go.
    if not strategy.watched or champion in (None, report.verdict.challenger_version):
        return promote(platform.registry, platform.journal, report, **bound)
    begin(
        platform.registry,
        platform.journal,
        report,
        strategy=strategy.name,
        share=strategy.first_share(policy),
        names=strategy.names(policy),
        **bound,
    )
    return last_step(platform.journal, spec.name)


def _hold_out_version(stored: FrameIOManager, spec: ModelSpec, window: Window) -> str:
    """The data version of the hold-out as it is stored now, not as it was when judged."""
    asset = key(spec, VALIDATED_FEATURES)
    windows = spec.grid.back_from(window.key, training_span(spec))
    if spec.cadence != "none":
        windows = windows[-spec.hold_out_windows :]
    frames = {w.key: stored.load(asset, stored_as(w)) for w in windows}
    held = training.split(spec, frames)[1] if spec.cadence == "none" else frames
    return training.data_version(held)


def _endpoint_check(platform: Platform, spec: ModelSpec, state: Deployment) -> dg.AssetCheckResult:
    version = platform.registry.version(spec.name, state.version)
    try:
        found = check_endpoint(
            platform.registry, version, platform.settings.endpoint, pinned=state.share < 1
        )
    except RolloutError as error:
        return dg.AssetCheckResult(passed=False, check_name=ENDPOINT, description=str(error))
    return dg.AssetCheckResult(
        passed=True,
        check_name=ENDPOINT,
        description=f"{found['rows']} answers equal the model's own",
        metadata={"rows": found["rows"], "seconds until it served": found["waited"]},
    )
