"""Jobs in which a person decides: approve or refuse a challenger, retire or reinstate a model.

Each is launched from the launchpad with a reason; Dagster's webserver has no login, so that who it
was can be said there, too.
"""

from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets import cards
from mlops_assets.assets.deployment import endpoint_check, hold_out_version
from mlops_assets.assets.keys import (
    ALERTS_TAG,
    DEPLOYMENT,
    EVALUATION_REPORT,
    MODEL_TAG,
    key,
    stored_as,
)
from mlops_assets.assets.rollout_state import materialize, state_after
from mlops_assets.lifecycle.errors import EvidenceError, RolloutError
from mlops_assets.lifecycle.registry import CHALLENGER, Registry
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.resources import FrameIOManager, Platform, ReportIOManager

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.journal import Entry


class Word(dg.Config):
    """A person's word."""

    reason: str
    who: str = ""


class WordOnVersion(Word):
    """A person's word on a challenger; without a version, the one that has the alias."""

    version: int | None = None


class Retirement(Word):
    """A person's word, and where clients should go: a model, or an address that tells."""

    successor: str | None = None
    pointer: str | None = None


def decision_jobs(spec: ModelSpec) -> list[dg.JobDefinition]:
    """``<model>_retire``, ``<model>_reinstate``; ``<model>_approve``, ``<model>_refuse``.

    The last two where ``gate.approval`` is ``required``.
    """
    made = [
        _job(spec, "retire", _retire_op(spec), "Take the model out of service: its endpoint "
             "answers 410 with the reason. Its record stays."),
        _job(spec, "reinstate", _reinstate_op(spec), "Bring a retired model back into service."),
    ]  # fmt: skip
    if spec.gate.approval == "required":
        made += [
            _job(spec, "approve", _approve_op(spec), "Let the challenger that waits in, to its "
                 "users or its canary. The journal keeps who and why."),
            _job(spec, "refuse", _refuse_op(spec), "Turn the challenger that waits down for good. "
                 "The journal keeps who and why."),
        ]  # fmt: skip
    return made


def newest_report(
    registry: Registry, stored: ReportIOManager, spec: ModelSpec, number: int | None
) -> EvaluationReport:
    """The stored evaluation of a challenger.

    Parameters
    ----------
    number : int or None
        Its version; None for the one that has the alias.

    Raises
    ------
    RolloutError
        When no version is a challenger.
    EvidenceError
        When the version was never evaluated, or its window's evaluation is of another one.
    """
    number = _challenger(registry, spec, number)
    version = registry.version(spec.name, number)
    window = version.tags.get("window", UNPARTITIONED)
    report = stored.load(key(spec, EVALUATION_REPORT), stored_as(spec.grid.window(window)))
    if report.verdict.challenger_version != number:
        raise EvidenceError(
            f"the evaluation of window {window} is of v{report.verdict.challenger_version}, "
            f"not of {version}: evaluate it again"
        )
    return report


def _challenger(registry: Registry, spec: ModelSpec, number: int | None) -> int:
    """The version that a word is about: the one named, or the one with the alias."""
    if number is None:
        number = registry.aliases(spec.name).get(CHALLENGER)
    if number is None:
        raise RolloutError(f"{spec.name} has no challenger: nothing waits")
    return number


def _job(spec: ModelSpec, kind: str, op: dg.OpDefinition, words: str) -> dg.JobDefinition:
    graph = dg.GraphDefinition(
        name=f"{spec.name}_{kind}",
        node_defs=[op],
        # So that the launchpad says `ops: {approve: ...}` for every model.
        dependencies={dg.NodeInvocation(op.name, alias=kind): {}},
    )
    return graph.to_job(
        description=words,
        tags={MODEL_TAG: spec.name, ALERTS_TAG: ",".join(spec.alerts)},
        executor_def=dg.in_process_executor,
    )


def _approve_op(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(name=f"{spec.name}__approve")
    def approve(
        context: dg.OpExecutionContext,
        config: WordOnVersion,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
        frames: dg.ResourceParam[FrameIOManager],
    ) -> None:
        from mlops_assets.lifecycle.rollout.letting_in import approve_and_let_in

        report = newest_report(platform.registry, reports, spec, config.version)
        window = spec.grid.window(report.window)
        _, entry = approve_and_let_in(
            spec,
            platform.registry,
            platform.journal,
            report,
            data_version=hold_out_version(frames, spec, window),
            who=_who(context, config),
            why=config.reason,
        )
        materialize(context, platform, reports, report.window, entry)
        found = endpoint_check(platform, spec, state_after(platform, entry))
        context.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key(spec, DEPLOYMENT),
                check_name=str(found.check_name),
                passed=found.passed,
                severity=found.severity,
                description=found.description,
                blocking=True,
            )
        )
        cards.renew(context, platform, reports, spec, entry)
        if not found.passed:
            raise RolloutError(f"v{entry.version} is let in, but {found.description}")

    return approve


def _refuse_op(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(name=f"{spec.name}__refuse")
    def refuse(
        context: dg.OpExecutionContext,
        config: WordOnVersion,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
    ) -> None:
        from mlops_assets.lifecycle.rollout.approval import refuse as refuse_version

        entry = refuse_version(
            platform.registry,
            platform.journal,
            spec.name,
            _challenger(platform.registry, spec, config.version),
            who=_who(context, config),
            why=config.reason,
        )
        context.log.info(f"v{entry.version} is refused")
        cards.renew(context, platform, reports, spec, entry)

    return refuse


def _retire_op(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(name=f"{spec.name}__retire")
    def retire(
        context: dg.OpExecutionContext,
        config: Retirement,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
    ) -> None:
        from mlops_assets.lifecycle.rollout import retirement

        entry = retirement.retire(
            platform.registry,
            platform.journal,
            spec.name,
            who=_who(context, config),
            why=config.reason,
            successor=config.successor,
            pointer=config.pointer,
        )
        _observe(context, entry)
        cards.renew(context, platform, reports, spec, entry)

    return retire


def _reinstate_op(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(name=f"{spec.name}__reinstate")
    def reinstate(
        context: dg.OpExecutionContext,
        config: Word,
        platform: Platform,
        reports: dg.ResourceParam[ReportIOManager],
    ) -> None:
        from mlops_assets.lifecycle.rollout import retirement

        entry = retirement.reinstate(
            platform.registry,
            platform.journal,
            spec.name,
            who=_who(context, config),
            why=config.reason,
        )
        window = platform.registry.version(spec.name, entry.version).tags.get("window")
        materialize(context, platform, reports, window or UNPARTITIONED, entry)
        cards.renew(context, platform, reports, spec, entry)

    return reinstate


def _observe(context: dg.OpExecutionContext, entry: "Entry") -> None:
    """Show a retirement on ``deployment``, whose last state stays on record."""
    context.log_event(
        dg.AssetObservation(
            asset_key=dg.AssetKey([entry.model, DEPLOYMENT]),
            metadata={
                "retired": f"v{entry.version}, on {entry.at}",
                "why": entry.why,
                "who": entry.who,
                **entry.evidence["pointer"],
            },
        )
    )


def _who(context: dg.OpExecutionContext, config: Word) -> str:
    run = f"dagster run {context.run.run_id}"
    return f"{config.who.strip()}, {run}" if config.who.strip() else run
