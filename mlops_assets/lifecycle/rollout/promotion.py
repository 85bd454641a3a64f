"""Changing what serves: one function for each change, used by Dagster, CLI and sensors alike.

Order of the writes: journal row ``begun``, alias ``previous``, alias ``champion``, alias
``challenger`` dropped, journal row ``done``. Wherever a crash cuts this off, a champion serves,
and the next change (or :func:`complete`) finishes it from what the first row says.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError, RolloutError
from mlops_assets.lifecycle.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry, Version
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout.journal import Entry, Journal


def promote(
    registry: Registry,
    journal: Journal,
    report: EvaluationReport,
    *,
    policy_hash: str,
    data_version: str,
    who: str,
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
    ArtifactError
        When the challenger's files are not those that were judged.
    """
    model = report.model
    with journal.exclusive(model):
        journal.verify()
        complete(registry, journal, model)
        challenger = registry.version(model, report.verdict.challenger_version)
        aliases = registry.aliases(model)
        _refuse_moved_alias(journal, model, aliases.get(CHAMPION))
        if aliases.get(CHAMPION) == challenger.number:
            return last_change(journal, model)
        _refuse_rolled_back(journal, challenger)
        verify(registry, report, policy_hash, data_version, aliases.get(CHAMPION))
        entry = Entry(
            model=model,
            action="promote",
            version=challenger.number,
            champion_before=aliases.get(CHAMPION),
            previous_after=aliases.get(CHAMPION),
            who=who,
            why=f"{report.verdict.verdict}: {'; '.join(report.verdict.reasons)}",
            evidence={
                "evaluation": report.fingerprint,
                "window": report.window,
                "digest": challenger.digest,
                "data_version": report.verdict.data_version,
                "policy": policy_hash,
            },
        )
        return _apply(registry, journal, journal.begin(entry))


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
    with journal.exclusive(model):
        journal.verify()
        complete(registry, journal, model)
        if registry.aliases(model).get(CHAMPION) == version.number:
            return last_change(journal, model)
        if had_champion(registry, journal, model):
            raise RolloutError(f"{model} has or had a champion: {version} must pass the gate")
        _verify_files(registry, version)
        entry = Entry(
            model=model,
            action="adopt",
            version=version.number,
            champion_before=None,
            previous_after=None,
            who=who,
            why=why,
            evidence=dict(version.tags),
        )
        return _apply(registry, journal, journal.begin(entry))


def rollback(registry: Registry, journal: Journal, model: str, who: str, why: str) -> Entry:
    """Make the version that was champion before the champion again.

    A rollback that a crash cut off is finished instead: asked for again, it is still one. An edited
    journal does not hinder a rollback as it does a promotion: what serves badly has to go.

    Raises
    ------
    RolloutError
        When no other version was ever champion.
    ArtifactError
        When that version's files are gone or were changed: the champion stays.
    """
    with journal.exclusive(model):
        finished = complete(registry, journal, model)
        if finished is not None and (finished.action == "rollback") == (finished.state == "done"):
            return finished  # or the promotion that was to be rolled back was taken back
        champion = registry.aliases(model).get(CHAMPION)
        target = former_champion(journal, model, champion)
        if champion is None or target is None:
            raise RolloutError(f"{model}: no version before the champion was ever in production")
        _verify_files(registry, registry.version(model, target))
        entry = Entry(
            model=model,
            action="rollback",
            version=target,
            champion_before=champion,
            previous_after=_before(_served(journal, model), target, champion),
            who=who,
            why=why,
        )
        return _apply(registry, journal, journal.begin(entry))


def complete(registry: Registry, journal: Journal, model: str) -> Entry | None:
    """Finish a change that a crash cut off; the caller holds ``journal.exclusive``.

    Where its version is gone, or its files are not what they were, the change is taken back: the
    champion of before serves, and the model is open to other changes.
    """
    begun = journal.unfinished(model)
    if begun is None:
        return None
    try:
        _verify_files(registry, registry.version(model, begun.version))
    except ArtifactError as error:
        return _take_back(registry, journal, begun, error)
    return _apply(registry, journal, begun)


def verify(
    registry: Registry,
    report: EvaluationReport,
    policy_hash: str,
    data_version: str,
    champion: int | None,
) -> None:
    """Check a stored verdict against what it is bound to.

    Raises
    ------
    EvidenceError, ArtifactError
        Naming what differs.
    """
    verdict = report.verdict
    challenger = registry.version(report.model, verdict.challenger_version)
    if not verdict.accepted:
        reasons = "; ".join(verdict.reasons)
        raise EvidenceError(f"{challenger} was not accepted ({verdict.verdict}): {reasons}")
    bound: dict[str, tuple[object, object]] = {
        "the challenger's digest": (verdict.challenger_digest, challenger.digest),
        "the champion's version": (verdict.champion_version, champion),
        "the hold-out's data version": (verdict.data_version, data_version),
        "the gate's policy": (verdict.policy_hash, policy_hash),
    }
    for what, (judged, now) in bound.items():
        if judged != now:
            raise EvidenceError(
                f"{what} changed since {challenger} was judged ({judged} then, {now} now): "
                "evaluate it again"
            )
    _verify_files(registry, challenger)


def former_champion(journal: Journal, model: str, champion: int | None) -> int | None:
    """The last version before ``champion`` that was champion and was not rolled back from."""
    stack = _served(journal, model)
    while stack and stack[-1] == champion:
        stack.pop()
    return stack[-1] if stack else None


def had_champion(registry: Registry, journal: Journal, model: str) -> bool:
    """Whether a model has a champion, or had one that was retired since."""
    return CHAMPION in registry.aliases(model) or bool(_served(journal, model))


def last_change(journal: Journal, model: str) -> Entry:
    """The newest finished change of a model."""
    done = [e for e in journal.entries(model) if e.state == "done"]
    if not done:
        raise RolloutError(f"{model} has a champion that the rollout journal knows nothing of")
    return done[-1]


def _served(journal: Journal, model: str) -> list[int]:
    """Champions in order, without those that were rolled back from."""
    stack: list[int] = []
    for entry in journal.entries(model):
        if entry.state != "done":
            continue
        if entry.action == "rollback":
            while stack and stack[-1] != entry.version:
                stack.pop()
            stack = [v for v in stack if v != entry.champion_before]
        else:
            stack.append(entry.version)
    return stack


def _before(stack: list[int], version: int, rolled_back: int) -> int | None:
    earlier = [v for v in stack[: stack.index(version)] if v not in {version, rolled_back}]
    return earlier[-1] if earlier else None


def _refuse_moved_alias(journal: Journal, model: str, champion: int | None) -> None:
    served = _served(journal, model)
    if champion is not None and (not served or served[-1] != champion):
        known = f"v{served[-1]}" if served else "nothing"
        raise RolloutError(
            f"{model}: the alias {CHAMPION} points at v{champion}, and the rollout journal knows "
            f"of {known}: it was moved by hand; roll back or remove it"
        )


def _refuse_rolled_back(journal: Journal, challenger: Version) -> None:
    for entry in journal.entries(challenger.model):
        rolled_back = entry.action == "rollback" and entry.state == "done"
        if rolled_back and entry.champion_before == challenger.number:
            raise RolloutError(
                f"{challenger} was rolled back on {entry.at} by {entry.who} ({entry.why}): "
                "train a new version"
            )


def _apply(registry: Registry, journal: Journal, begun: Entry) -> Entry:
    model = begun.model
    if begun.previous_after is None:
        registry.drop_alias(model, PREVIOUS)
    else:
        registry.set_alias(model, PREVIOUS, begun.previous_after)
    registry.set_alias(model, CHAMPION, begun.version)
    if registry.aliases(model).get(CHALLENGER) == begun.version:
        registry.drop_alias(model, CHALLENGER)
    return journal.finish(begun)


def _take_back(registry: Registry, journal: Journal, begun: Entry, problem: ArtifactError) -> Entry:
    model, champion = begun.model, begun.champion_before
    former = former_champion(journal, model, champion)
    if former is None or former == begun.version:
        registry.drop_alias(model, PREVIOUS)
    else:
        registry.set_alias(model, PREVIOUS, former)
    if champion is None:
        registry.drop_alias(model, CHAMPION)
    else:
        registry.set_alias(model, CHAMPION, champion)
    return journal.void(begun, f"taken back: {problem}")


def _verify_files(registry: Registry, version: Version) -> None:
    with TemporaryDirectory(prefix="mlops-verify-") as folder:
        registry.take(version, Path(folder))
