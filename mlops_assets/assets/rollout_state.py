"""What ``deployment`` shows: who serves at which share, and the evidence of a rollout."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import DEPLOYMENT
from mlops_assets.lifecycle.registry import CHAMPION, PREVIOUS
from mlops_assets.lifecycle.reports import Deployment
from mlops_assets.lifecycle.rollout.strategies import Decision
from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.resources import Platform, ReportIOManager

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.journal import Entry

JOURNAL_ROWS = 10


def state_after(platform: Platform, entry: "Entry") -> Deployment:
    """The state that a finished change of the journal left."""
    from mlops_assets.lifecycle.rollout.history import SERVES

    version = platform.registry.version(entry.model, entry.version)
    aliases = platform.registry.aliases(entry.model)
    serves = entry.action in SERVES
    return Deployment(
        model=entry.model,
        version=version.number,
        champion=aliases[CHAMPION],
        digest=version.digest,
        previous=aliases.get(PREVIOUS),
        strategy=entry.evidence.get("strategy", "direct"),
        share=1.0 if serves else float(entry.evidence["share"]),
        since=datetime.fromisoformat(entry.at),
        who=entry.who,
        why=entry.why,
        journal_entry=entry.hash,
    )


def metadata(
    platform: Platform, state: Deployment, decision: Decision | None = None
) -> dict[str, Any]:
    """The state for people, with the evidence of a decision where there is one."""
    history = [e for e in platform.journal.entries(state.model) if e.state == "done"]
    shown: dict[str, Any] = {
        "version": state.version,
        "champion": state.champion,
        "previous": str(state.previous or "none"),
        "share": state.share,
        "strategy": state.strategy,
        "why": state.why,
        "endpoint": dg.MetadataValue.url(f"{platform.settings.endpoint}/v2/models/{state.model}"),
    }
    if decision is not None:
        shown |= _decision(decision)
    shown["journal"] = display.table(
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
    )
    return shown


def materialize(
    context: dg.OpExecutionContext,
    platform: Platform,
    stored: ReportIOManager,
    window: str,
    entry: "Entry",
    decision: Decision | None = None,
) -> None:
    """Put the state after a change on ``deployment``, from a job that is not the asset's own."""
    asset = dg.AssetKey([entry.model, DEPLOYMENT])
    partition = None if window == UNPARTITIONED else window
    state = state_after(platform, entry)
    stored.write(stored.path(asset, partition), state)
    context.log_event(
        dg.AssetMaterialization(
            asset_key=asset,
            partition=partition,
            metadata=metadata(platform, state, decision),
        )
    )


def _decision(decision: Decision) -> dict[str, Any]:
    shown: dict[str, Any] = {"decision": decision.kind, "reason": decision.reason}
    if decision.evidence:
        shown["guardrails"] = display.table(
            ["guardrail", "verdict", "canary / champion", "low", "high", "tolerated", "evidence"],
            [
                [e.guardrail, e.verdict, e.estimate, e.low, e.high, e.tolerated, e.words]
                for e in decision.evidence
            ],
        )
        shown["evidence over time"] = display.guardrail_plot(decision.evidence)
        shown |= {f"e-value {e.guardrail}": display.number(e.e_value) for e in decision.evidence}
    return shown


def _short(who: str) -> str:
    """A run is named by its first eight characters, as everywhere in the UI."""
    head, found, run_id = who.partition("dagster run ")
    return f"{head}{found}{run_id[:8]}" if found else who
