"""Carrying a change out, and finishing one that a crash cut off.

A change is written down (``begun``) before the first alias moves and finished (``done``) after the
last. Every write here can be repeated, so that whoever comes next may carry the change out again
from what the first row says, wherever a crash cut it off; a champion serves all the while.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError, RolloutError
from mlops_assets.lifecycle.registry import (
    CANARY,
    CHALLENGER,
    CHAMPION,
    NAMES_TAG,
    PREVIOUS,
    RETIRED_TAG,
    SHADOW,
    SHARE_TAG,
    Registry,
    Version,
)
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout.history import (
    ABORT,
    ADVANCE,
    BEGIN,
    REFUSE,
    REINSTATE,
    RETIRE,
    champions,
    former_champion,
    refused_for_good,
    retired,
)
from mlops_assets.lifecycle.rollout.journal import Entry, Journal


@contextmanager
def next_change(registry: Registry, journal: Journal, model: str) -> Iterator[None]:
    """The right to let a version of a model go further: alone, and with nothing left undone.

    Raises
    ------
    EvidenceError
        When the rollout journal was edited.
    RolloutError
        When the model is retired, or somebody else changes it for longer than half a minute.
    """
    with journal.exclusive(model):
        journal.verify()
        complete(registry, journal, model)
        refuse_retired(journal, model)
        yield


def complete(registry: Registry, journal: Journal, model: str) -> Entry | None:
    """Finish a change that a crash cut off; the caller holds ``journal.exclusive``.

    Where its version is gone, or its files are not what they were, the change is taken back: the
    champion of before serves, and the model is open to other changes.
    """
    begun = journal.unfinished(model)
    if begun is None:
        return None
    if begun.action in (ABORT, REFUSE, RETIRE):  # asks nothing of the version that goes
        return carry_out(registry, journal, begun)
    try:
        verify_files(registry, registry.version(model, begun.version))
    except ArtifactError as error:
        if begun.action not in (BEGIN, ADVANCE):
            _uncrown(registry, journal, begun)
        _drop_aliases(registry, begun)
        return journal.void(begun, f"taken back: {error}")
    return carry_out(registry, journal, begun)


def carry_out(registry: Registry, journal: Journal, begun: Entry) -> Entry:
    """Make the registry say what a begun change wants, and write that it is done."""
    carry = _CARRY.get(begun.action, _crown)
    carry(registry, begun)
    return journal.finish(begun)


def _crown(registry: Registry, begun: Entry) -> None:
    """``previous`` first, then ``champion``: wherever this stops, a champion serves."""
    model = begun.model
    if begun.previous_after is None:
        registry.drop_alias(model, PREVIOUS)
    else:
        registry.set_alias(model, PREVIOUS, begun.previous_after)
    registry.set_alias(model, CHAMPION, begun.version)
    # After the champion: in between the canary takes its share of what it takes all of anyway.
    _drop_aliases(registry, begun)


def _expose(registry: Registry, begun: Entry) -> None:
    """The share first: an alias without one would be a canary of unknown size."""
    share = float(begun.evidence["share"])
    registry.set_tag(begun.model, begun.version, SHARE_TAG, f"{share:g}")
    if "names" in begun.evidence:
        registry.set_tag(begun.model, begun.version, NAMES_TAG, ",".join(begun.evidence["names"]))
    alias = SHADOW if share == 0 else CANARY
    registry.set_alias(begun.model, alias, begun.version)
    other = CANARY if alias == SHADOW else SHADOW
    registry.drop_alias(begun.model, other)


def _withdraw(registry: Registry, begun: Entry) -> None:
    _drop_aliases(registry, begun)
    registry.set_tag(begun.model, begun.version, SHARE_TAG, "0")


def _retire(registry: Registry, begun: Entry) -> None:
    """The tag first: from then on the endpoint answers 410, whichever aliases are left."""
    registry.tag_model(begun.model, RETIRED_TAG, retired_tag(begun))
    for alias in (CANARY, SHADOW, CHALLENGER, PREVIOUS, CHAMPION):
        registry.drop_alias(begun.model, alias)


def _reinstate(registry: Registry, begun: Entry) -> None:
    """The tag last: until then nobody is answered by half a model."""
    _crown(registry, begun)
    registry.untag_model(begun.model, RETIRED_TAG)


def retired_tag(begun: Entry) -> str:
    """What the registry says of a retired model, for who answers in its name: JSON."""
    return json.dumps({"since": begun.at, "why": begun.why, **begun.evidence["pointer"]})


def _drop_aliases(registry: Registry, begun: Entry) -> None:
    """The version is no candidate any more. It may be gone: nothing is written to it itself."""
    aliases = registry.aliases(begun.model)
    for alias in (CANARY, SHADOW, CHALLENGER):
        if aliases.get(alias) == begun.version:
            registry.drop_alias(begun.model, alias)


_CARRY = {
    BEGIN: _expose,
    ADVANCE: _expose,
    ABORT: _withdraw,
    REFUSE: _drop_aliases,
    RETIRE: _retire,
    REINSTATE: _reinstate,
}


def _uncrown(registry: Registry, journal: Journal, begun: Entry) -> None:
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
    retirement = retired(journal, model)
    if retirement is not None:
        registry.tag_model(model, RETIRED_TAG, retired_tag(retirement))


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
    verify_files(registry, challenger)


def grounds(report: EvaluationReport, challenger: Version, policy_hash: str) -> dict[str, str]:
    """On what a version was let in, as the journal keeps it."""
    return {
        "evaluation": report.fingerprint,
        "window": report.window,
        "digest": challenger.digest,
        "data_version": report.verdict.data_version,
        "policy": policy_hash,
    }


def verify_files(registry: Registry, version: Version) -> None:
    """Check that a version's files are those that were registered.

    Raises
    ------
    ArtifactError
    """
    with TemporaryDirectory(prefix="mlops-verify-") as folder:
        registry.files.take(version, Path(folder))


def refuse_moved_alias(journal: Journal, model: str, champion: int | None) -> None:
    """Raise RolloutError when the champion's alias was moved by other means than ours."""
    served = champions(journal, model)
    if champion is not None and (not served or served[-1] != champion):
        known = f"v{served[-1]}" if served else "nothing"
        raise RolloutError(
            f"{model}: the alias {CHAMPION} points at v{champion}, and the rollout journal knows "
            f"of {known}: it was moved by hand; roll back or remove it"
        )


def refuse_taken_back(journal: Journal, challenger: Version) -> None:
    """Raise RolloutError for a version that was refused, or rolled back as champion or canary."""
    entry = refused_for_good(journal, challenger.model, challenger.number)
    if entry is not None:
        what = "refused" if entry.action == REFUSE else "rolled back"
        raise RolloutError(
            f"{challenger} was {what} on {entry.at} by {entry.who} ({entry.why}): "
            "train a new version"
        )


def refuse_retired(journal: Journal, model: str) -> None:
    """Raise RolloutError for a model that was taken out of service."""
    entry = retired(journal, model)
    if entry is not None:
        raise RolloutError(
            f"{model} was retired on {entry.at} by {entry.who} ({entry.why}): "
            f"`mlops-assets reinstate {model}` brings it back"
        )
