"""Bringing an accepted challenger to its users step by step, and taking it back on the way."""

from typing import Any

from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.registry import CHAMPION, Registry
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout import approval
from mlops_assets.lifecycle.rollout.changes import (
    carry_out,
    complete,
    grounds,
    next_change,
    refuse_moved_alias,
    refuse_taken_back,
    verify,
    verify_files,
)
from mlops_assets.lifecycle.rollout.history import (
    ABORT,
    ADVANCE,
    BEGIN,
    PROMOTE,
    Rollout,
    under_way,
)
from mlops_assets.lifecycle.rollout.journal import Entry, Journal


def begin(
    registry: Registry,
    journal: Journal,
    report: EvaluationReport,
    *,
    strategy: str,
    share: float,
    names: tuple[str, str] | None = None,
    policy_hash: str,
    data_version: str,
    who: str,
    approval_required: bool = False,
) -> Rollout:
    """Give the challenger of a report its first share of the traffic, if its verdict still stands.

    Parameters
    ----------
    report : EvaluationReport
        The stored verdict. Everything it is bound to is verified again here.
    strategy : str
        For the journal.
    share : float
        Of the units, at least 0 (a shadow, which answers nobody) and below 1.
    names : tuple of str or None
        What champion and challenger are called in the prediction log, where they are compared
        by names.
    policy_hash, data_version : str
        As they are now, see :func:`~mlops_assets.lifecycle.rollout.promotion.promote`.
    who : str
    approval_required : bool
        As there.

    Returns
    -------
    Rollout
        The one that is under way already when it is of this version.

    Raises
    ------
    EvidenceError, ArtifactError
        When the verdict does not accept, or is bound to something else.
    ApprovalPending
        When a person has to approve, and nobody has.
    RolloutError
        Without a champion to compare with; when another version is on its way; when the version
        was rolled back before; when the champion's alias was moved by other means.
    """
    model = report.model
    with next_change(registry, journal, model):
        challenger = registry.version(model, report.verdict.challenger_version)
        rollout = under_way(journal, model)
        if rollout is not None:
            if rollout.version == challenger.number:
                return rollout
            raise RolloutError(
                f"{model} v{rollout.version} is on its way to its users at {rollout.share:.0%}: "
                f"roll it back, or wait, before {challenger}"
            )
        champion = registry.aliases(model).get(CHAMPION)
        refuse_moved_alias(journal, model, champion)
        if champion is None or champion == challenger.number:
            raise RolloutError(f"{model}: no champion but {challenger} itself to compare it with")
        refuse_taken_back(journal, challenger)
        verify(registry, report, policy_hash, data_version, champion)
        evidence = grounds(report, challenger, policy_hash)
        if approval_required:
            evidence |= approval.require(journal, report, challenger, evidence)
        entry = Entry(
            model=model,
            action=BEGIN,
            version=challenger.number,
            champion_before=champion,
            previous_after=None,
            who=who,
            why=f"{report.verdict.verdict}: {'; '.join(report.verdict.reasons)}",
            evidence={
                "strategy": strategy,
                "share": share,
                **({"names": names} if names else {}),
                **evidence,
            },
        )
        carry_out(registry, journal, journal.begin(entry))
        return _required(journal, model)


def advance(
    registry: Registry,
    journal: Journal,
    model: str,
    version: int,
    *,
    share: float,
    who: str,
    why: str,
    evidence: dict[str, Any],
) -> Entry:
    """Give the version on its way a larger share; all of it (1.0) makes it the champion.

    Asked for again after it was done, it changes nothing and returns the entry of before.

    Raises
    ------
    RolloutError
        When that version is not on its way, or has this share or a larger one already.
    ArtifactError
        When its files are not those that were judged.
    """
    with next_change(registry, journal, model):
        rollout = _required(journal, model, version)
        if share <= rollout.share:
            raise RolloutError(f"{model} v{version} has a share of {rollout.share:.0%} already")
        champion = registry.aliases(model).get(CHAMPION)
        if champion != rollout.champion:
            raise RolloutError(
                f"{model} v{version} was compared with v{rollout.champion}, and the champion is "
                f"now v{champion}: roll it back"
            )
        verify_files(registry, registry.version(model, version))
        entry = Entry(
            model=model,
            action=PROMOTE if share >= 1 else ADVANCE,
            version=version,
            champion_before=champion,
            previous_after=champion if share >= 1 else None,
            who=who,
            why=why,
            evidence={**rollout.begun.evidence, "share": share, "rollout": evidence},
        )
        return carry_out(registry, journal, journal.begin(entry))


def abort(
    registry: Registry,
    journal: Journal,
    model: str,
    version: int,
    *,
    who: str,
    why: str,
    evidence: dict[str, Any] | None = None,
) -> Entry:
    """Take the version on its way back: the champion answers everybody again.

    Raises
    ------
    RolloutError
        When that version is not on its way: what was seen of it says nothing of another.
    """
    with journal.exclusive(model):
        finished = complete(registry, journal, model)
        if finished is not None and (finished.action == ABORT) == (finished.state == "done"):
            return finished  # or the step that brought it there was taken back
        rollout = _required(journal, model, version)
        return take_back(registry, journal, rollout, who=who, why=why, evidence=evidence)


def take_back(
    registry: Registry,
    journal: Journal,
    rollout: Rollout,
    *,
    who: str,
    why: str,
    evidence: dict[str, Any] | None = None,
) -> Entry:
    """:func:`abort` for a caller that holds ``journal.exclusive``."""
    entry = Entry(
        model=rollout.model,
        action=ABORT,
        version=rollout.version,
        champion_before=rollout.champion,
        previous_after=None,
        who=who,
        why=why,
        evidence={"share": 0.0, "rollout": evidence or {}},
    )
    return carry_out(registry, journal, journal.begin(entry))


def conclude(
    registry: Registry, journal: Journal, model: str, keep: str, *, who: str, why: str
) -> Entry:
    """End a comparison by names on a person's word: the named variant answers everybody.

    Raises
    ------
    RolloutError
        When no such comparison is under way, or it has no variant of that name.
    ArtifactError
        When the files of the version to keep are not those that were judged.
    """
    rollout = _required(journal, model)
    if rollout.names is None:
        raise RolloutError(
            f"{model} v{rollout.version} comes by {rollout.strategy}, which evidence moves on; "
            "a person can take it back (rollback)"
        )
    if keep not in rollout.names:
        raise RolloutError(f"{model} compares {' and '.join(rollout.names)}; {keep!r} is neither")
    word = {"decision": "a person's word", "keeps": keep}
    if keep == rollout.names[0]:
        return abort(registry, journal, model, rollout.version, who=who, why=why, evidence=word)
    return advance(
        registry, journal, model, rollout.version, share=1.0, who=who, why=why, evidence=word
    )


def _required(journal: Journal, model: str, version: int | None = None) -> Rollout:
    rollout = under_way(journal, model)
    if rollout is None:
        raise RolloutError(f"{model}: no version is on its way to its users")
    if version not in (None, rollout.version):
        raise RolloutError(f"{model} v{rollout.version} is on its way, not v{version}")
    return rollout
