"""Stage 5: the accepted challenger becomes champion, and the endpoint is asked whether it is."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display
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
from mlops_assets.assets.types import report_type
from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.endpoint import check_endpoint
from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.evaluation import policy_hash
from mlops_assets.lifecycle.reports import Deployment, EvaluationReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager, Platform

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.journal import Entry

ENDPOINT = "endpoint"
JOURNAL_ROWS = 10


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
        from mlops_assets.lifecycle.rollout.promotion import promote

        window = window_of(context, spec)
        entry = promote(
            platform.registry,
            platform.journal,
            report,
            policy_hash=policy_hash(spec),
            data_version=_hold_out_version(frames, spec, window),
            who=f"dagster run {context.run.run_id}",
        )
        state = _state(platform, spec, entry)
        yield dg.MaterializeResult(
            value=state,
            data_version=dg.DataVersion(f"{state.version}-{entry.change}"),
            metadata=_metadata(platform, spec, state),
        )
        yield _endpoint_check(platform, spec, state.version)

    return deployment


def _hold_out_version(stored: FrameIOManager, spec: ModelSpec, window: Window) -> str:
    """The data version of the hold-out as it is stored now, not as it was when judged."""
    asset = key(spec, VALIDATED_FEATURES)
    windows = spec.grid.back_from(window.key, training_span(spec))
    if spec.cadence != "none":
        windows = windows[-spec.hold_out_windows :]
    frames = {w.key: stored.load(asset, stored_as(w)) for w in windows}
    held = training.split(spec, frames)[1] if spec.cadence == "none" else frames
    return training.data_version(held)


def _state(platform: Platform, spec: ModelSpec, entry: "Entry") -> Deployment:
    version = platform.registry.version(spec.name, entry.version)
    return Deployment(
        model=spec.name,
        version=version.number,
        digest=version.digest,
        previous=entry.previous_after,
        share=1.0,
        since=datetime.fromisoformat(entry.at),
        who=entry.who,
        why=entry.why,
        journal_entry=entry.hash,
    )


def _metadata(platform: Platform, spec: ModelSpec, state: Deployment) -> dict[str, Any]:
    history = [e for e in platform.journal.entries(spec.name) if e.state == "done"]
    return {
        "version": state.version,
        "previous": str(state.previous or "none"),
        "share": state.share,
        "why": state.why,
        "endpoint": dg.MetadataValue.url(f"{platform.settings.endpoint}/v2/models/{spec.name}"),
        "journal": display.table(
            ["at", "action", "version", "champion before", "who", "why"],
            [
                [
                    datetime.fromisoformat(e.at),
                    e.action,
                    e.version,
                    e.champion_before,
                    _short(e.who),
                    e.why,
                ]
                for e in reversed(history[-JOURNAL_ROWS:])
            ],
        ),
    }


def _short(who: str) -> str:
    """A run is named by its first eight characters, as everywhere in the UI."""
    head, found, run_id = who.partition("dagster run ")
    return f"{head}{found}{run_id[:8]}" if found else who


def _endpoint_check(platform: Platform, spec: ModelSpec, number: int) -> dg.AssetCheckResult:
    version = platform.registry.version(spec.name, number)
    try:
        found = check_endpoint(platform.registry, version, platform.settings.endpoint)
    except RolloutError as error:
        return dg.AssetCheckResult(passed=False, check_name=ENDPOINT, description=str(error))
    return dg.AssetCheckResult(
        passed=True,
        check_name=ENDPOINT,
        description=f"{found['rows']} answers equal the model's own",
        metadata={"rows": found["rows"], "seconds until it served": found["waited"]},
    )
