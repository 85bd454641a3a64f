"""A person's word on an accepted challenger, where ``gate.approval`` asks for one.

An approval is a row of the rollout journal. It is bound to what the verdict it was based on is
bound to: the version and its digest, the champion it was compared with, the hold-out's data
version and the gate's policy. Where any of these is another, it counts for nothing.
"""

from typing import Any

from mlops_assets.lifecycle.errors import ApprovalPending, DeclarationError, RolloutError
from mlops_assets.lifecycle.registry import CHAMPION, Registry, Version
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout.changes import (
    carry_out,
    complete,
    grounds,
    next_change,
    refuse_moved_alias,
    refuse_taken_back,
    verify,
)
from mlops_assets.lifecycle.rollout.history import APPROVE, REFUSE, under_way
from mlops_assets.lifecycle.rollout.journal import Entry, Journal

BOUND = {
    "digest": "the challenger's digest",
    "data_version": "the hold-out's data version",
    "policy": "the gate's policy",
    "evaluation": "the evaluation",
}
SHOWN = 12


def approve(
    registry: Registry,
    journal: Journal,
    report: EvaluationReport,
    *,
    policy_hash: str,
    data_version: str,
    who: str,
    why: str,
) -> Entry:
    """Write down that a person lets the challenger of a report in; nothing serves by it alone.

    Parameters
    ----------
    report : EvaluationReport
        The stored verdict, verified here as for a promotion.
    policy_hash, data_version : str
        As they are now, see :func:`~mlops_assets.lifecycle.rollout.promotion.promote`.
    who, why : str
        On whose word and for which reason; neither may be blank.

    Returns
    -------
    Entry
        The approval; that of before where it still stands.

    Raises
    ------
    DeclarationError
        Without a person or a reason.
    EvidenceError, ArtifactError
        When the verdict does not accept, or is bound to something else than what is there now.
    RolloutError
        When the version was refused or rolled back before, or the model is retired.
    """
    require_words(who, why)
    model = report.model
    with next_change(registry, journal, model):
        challenger = registry.version(model, report.verdict.challenger_version)
        champion = registry.aliases(model).get(CHAMPION)
        refuse_moved_alias(journal, model, champion)
        refuse_taken_back(journal, challenger)
        on = grounds(report, challenger, policy_hash)
        standing = _newest(journal, challenger)
        if standing is not None and not _changed(standing, report, on):
            return standing
        verify(registry, report, policy_hash, data_version, champion)
        verdict = {"verdict": report.verdict.verdict, "reasons": report.verdict.reasons}
        entry = Entry(
            model=model,
            action=APPROVE,
            version=challenger.number,
            champion_before=champion,
            previous_after=None,
            who=who,
            why=why,
            evidence={**on, **verdict},
        )
        return journal.note(entry)


def refuse(
    registry: Registry, journal: Journal, model: str, number: int, *, who: str, why: str
) -> Entry:
    """Turn a challenger down for good: it loses its alias, and no verdict lets it in again.

    Returns
    -------
    Entry
        The refusal; that of before for a version that was refused already.

    Raises
    ------
    DeclarationError
        Without a person or a reason.
    RolloutError
        When the version serves, or is on its way: roll it back.
    ArtifactError
        When there is no such version.
    """
    require_words(who, why)
    with journal.exclusive(model):
        complete(registry, journal, model)
        version = registry.version(model, number)
        for entry in journal.entries(model):
            if (entry.action, entry.version, entry.state) == (REFUSE, number, "done"):
                return entry
        champion = registry.aliases(model).get(CHAMPION)
        rollout = under_way(journal, model)
        if number == champion or (rollout is not None and rollout.version == number):
            raise RolloutError(f"{version} serves: roll it back instead")
        entry = Entry(
            model=model,
            action=REFUSE,
            version=number,
            champion_before=champion,
            previous_after=None,
            who=who,
            why=why,
            evidence={"digest": version.digest},
        )
        return carry_out(registry, journal, journal.begin(entry))


def require(
    journal: Journal, report: EvaluationReport, challenger: Version, on: dict[str, str]
) -> dict[str, Any]:
    """The approval of a challenger on these grounds, as the evidence of what it lets in.

    Parameters
    ----------
    on : dict
        What :func:`~mlops_assets.lifecycle.rollout.changes.grounds` says now; the caller has
        verified it, and the journal's chain.

    Raises
    ------
    ApprovalPending
        When nobody has approved it, or something has changed since.
    """
    standing = _newest(journal, challenger)
    if standing is None:
        raise ApprovalPending(
            f"{challenger} waits for approval ({report.verdict.verdict}): launch "
            f"{challenger.model}_approve, or `mlops-assets approve {challenger.model}`"
        )
    changed = _changed(standing, report, on)
    if changed:
        raise ApprovalPending(
            f"{challenger} waits for approval: that of {standing.who} ({standing.at}) counts no "
            f"more, {'; '.join(changed)}"
        )
    return {
        "approval": {
            "who": standing.who,
            "why": standing.why,
            "at": standing.at,
            "entry": standing.hash,
        }
    }


def require_words(who: str, why: str) -> None:
    """Raise DeclarationError where a person's word has no person or no reason."""
    if not who.strip():
        raise DeclarationError("say who decides: the rollout journal keeps it")
    if not why.strip():
        raise DeclarationError("give a reason: the rollout journal keeps it")


def _newest(journal: Journal, challenger: Version) -> Entry | None:
    found = [
        entry
        for entry in journal.entries(challenger.model)
        if (entry.action, entry.version, entry.state) == (APPROVE, challenger.number, "done")
    ]
    return found[-1] if found else None


def _changed(standing: Entry, report: EvaluationReport, on: dict[str, str]) -> list[str]:
    """What is not as it was approved."""
    pairs = {words: (standing.evidence.get(name), on[name]) for name, words in BOUND.items()}
    was, now = standing.champion_before, report.verdict.champion_version
    pairs["the champion"] = (f"v{was}" if was else "none", f"v{now}" if now else "none")
    return [
        f"{words} was {str(was)[:SHOWN]} and is {str(now)[:SHOWN]}"
        for words, (was, now) in pairs.items()
        if was != now
    ]
