"""Changing the champion: one function for each change, used by Dagster, CLI and sensors alike."""

from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.registry import CHAMPION, Registry, Version
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout import approval, steps
from mlops_assets.lifecycle.rollout.changes import (
    carry_out,
    complete,
    grounds,
    next_change,
    refuse_moved_alias,
    refuse_retired,
    refuse_taken_back,
    verify,
    verify_files,
)
from mlops_assets.lifecycle.rollout.history import (
    ABORT,
    ADOPT,
    PROMOTE,
    ROLLBACK,
    champion_before,
    champions,
    former_champion,
    had_champion,
    last_change,
    taken_back_since,
    under_way,
)
from mlops_assets.lifecycle.rollout.journal import Entry, Journal


def promote(
    registry: Registry,
    journal: Journal,
    report: EvaluationReport,
    *,
    policy_hash: str,
    data_version: str,
    who: str,
    approval_required: bool = False,
) -> Entry:
    """Make the challenger of a report the champion, if its verdict still stands.

    Parameters
    ----------
    report : EvaluationReport
        The stored verdict. Everything it is bound to is verified again here.
    policy_hash : str
        Hash of the gate's policy as it is declared now.
    data_version : str
        Data version of the hold-out as it is stored now.
    who : str
        Who or what asks, for the journal.
    approval_required : bool
        Whether a person must have approved exactly this challenger on exactly these grounds.

    Returns
    -------
    Entry
        The journal row of the finished change; of the old one when the version serves already.

    Raises
    ------
    EvidenceError
        When the verdict does not accept, or is bound to something else. When the rollout journal
        was edited.
    RolloutError
        When the version was rolled back before: a new one has to be trained. When the alias of
        the champion was moved by other means than the platform's.
    ApprovalPending
        When nobody has.
    ArtifactError
        When the challenger's files are not those that were judged.
    """
    model = report.model
    with next_change(registry, journal, model):
        challenger = registry.version(model, report.verdict.challenger_version)
        aliases = registry.aliases(model)
        refuse_moved_alias(journal, model, aliases.get(CHAMPION))
        if aliases.get(CHAMPION) == challenger.number:
            return last_change(journal, model)
        refuse_taken_back(journal, challenger)
        _refuse_under_way(journal, model)
        verify(registry, report, policy_hash, data_version, aliases.get(CHAMPION))
        evidence = grounds(report, challenger, policy_hash)
        if approval_required:
            evidence |= approval.require(journal, report, challenger, evidence)
        entry = Entry(
            model=model,
            action=PROMOTE,
            version=challenger.number,
            champion_before=aliases.get(CHAMPION),
            previous_after=aliases.get(CHAMPION),
            who=who,
            why=f"{report.verdict.verdict}: {'; '.join(report.verdict.reasons)}",
            evidence=evidence,
        )
        return carry_out(registry, journal, journal.begin(entry))


def adopt(registry: Registry, journal: Journal, version: Version, *, who: str, why: str) -> Entry:
    """Make a version that has no verdict the first champion of its model.

    Parameters
    ----------
    version : Version
        Made outside of the platform: there is no hold-out to judge it on.
    who, why : str
        On whose word, for the journal.

    Returns
    -------
    Entry
        The journal row of the finished change; of the old one when the version serves already.

    Raises
    ------
    RolloutError
        When the model has, or had, another champion: the version has to pass the gate.
    EvidenceError
        When the rollout journal was edited.
    ArtifactError
        When the version's files are not those that were registered.
    """
    model = version.model
    with next_change(registry, journal, model):
        if registry.aliases(model).get(CHAMPION) == version.number:
            return last_change(journal, model)
        if had_champion(registry, journal, model):
            raise RolloutError(f"{model} has or had a champion: {version} must pass the gate")
        verify_files(registry, version)
        entry = Entry(
            model=model,
            action=ADOPT,
            version=version.number,
            champion_before=None,
            previous_after=None,
            who=who,
            why=why,
            evidence=dict(version.tags),
        )
        return carry_out(registry, journal, journal.begin(entry))


def rollback(registry: Registry, journal: Journal, model: str, who: str, why: str) -> Entry:
    """Take the newest change of what serves back.

    A version on its way to its users is taken back; when there is none, the version that was
    champion before becomes the champion again. A rollback that a crash cut off is finished
    instead: asked for again, it is still one. So is one that somebody else, or a guardrail, has
    finished since this one was asked for: both mean the same version. An edited journal does not
    hinder a rollback as it does a promotion: what serves badly has to go.

    Raises
    ------
    RolloutError
        When no other version was ever champion.
    ArtifactError
        When that version's files are gone or were changed: the champion stays.
    """
    asked_at = max((entry.seq for entry in journal.entries(model)), default=0)
    with journal.exclusive(model):
        meanwhile = taken_back_since(journal, model, asked_at)
        if meanwhile is not None:
            return meanwhile
        finished = complete(registry, journal, model)
        undone = finished is not None and finished.action in (ROLLBACK, ABORT)
        if finished is not None and undone == (finished.state == "done"):
            return finished  # or the change that was to be rolled back was taken back
        refuse_retired(journal, model)
        rollout = under_way(journal, model)
        if rollout is not None:
            return steps.take_back(registry, journal, rollout, who=who, why=why)
        champion = registry.aliases(model).get(CHAMPION)
        target = former_champion(journal, model, champion)
        if champion is None or target is None:
            raise RolloutError(f"{model}: no version before the champion was ever in production")
        verify_files(registry, registry.version(model, target))
        entry = Entry(
            model=model,
            action=ROLLBACK,
            version=target,
            champion_before=champion,
            previous_after=champion_before(champions(journal, model), target, champion),
            who=who,
            why=why,
        )
        return carry_out(registry, journal, journal.begin(entry))


def _refuse_under_way(journal: Journal, model: str) -> None:
    rollout = under_way(journal, model)
    if rollout is not None:
        raise RolloutError(
            f"{model} v{rollout.version} is on its way to its users at {rollout.share:.0%}: "
            "roll it back first"
        )
