"""Taking a model out of service in the open, and bringing it back."""

from urllib.parse import urlsplit

from mlops_assets.lifecycle.errors import DeclarationError, RolloutError
from mlops_assets.lifecycle.registry import CHAMPION, PREVIOUS, Registry
from mlops_assets.lifecycle.rollout.approval import require_words
from mlops_assets.lifecycle.rollout.changes import carry_out, complete, verify_files
from mlops_assets.lifecycle.rollout.history import REINSTATE, RETIRE, SERVES, retired
from mlops_assets.lifecycle.rollout.journal import Entry, Journal

MOST_WORDS = 1000


def retire(
    registry: Registry,
    journal: Journal,
    model: str,
    *,
    who: str,
    why: str,
    successor: str | None = None,
    pointer: str | None = None,
) -> Entry:
    """Take a model out of service; its versions, reports and journal stay.

    From the first write on its endpoint answers 410 with the reason, the date and where to go.
    An edited journal does not hinder it, as it does not hinder a rollback.

    Parameters
    ----------
    who, why : str
        For the journal; ``why`` is told to clients.
    successor : str or None
        A model that clients should ask instead; it must have a champion.
    pointer : str or None
        An http(s) URL where clients can read what to do instead.

    Returns
    -------
    Entry
        The retirement; that of before for a model that is retired already.

    Raises
    ------
    DeclarationError
        Without a person or a reason, with a pointer that is none, or with both pointers.
    RolloutError
        When nothing of the model serves, or the successor does not.
    """
    require_words(who, why)
    if len(why) > MOST_WORDS:
        raise DeclarationError(f"a reason of {len(why)} characters where {MOST_WORDS} are the most")
    pointed = _pointer(registry, model, successor, pointer)
    with journal.exclusive(model):
        complete(registry, journal, model)
        before = retired(journal, model)
        if before is not None:
            return before
        aliases = registry.aliases(model)
        if CHAMPION not in aliases:
            raise RolloutError(f"{model} has no champion: nothing of it is in service")
        entry = Entry(
            model=model,
            action=RETIRE,
            version=aliases[CHAMPION],
            champion_before=aliases[CHAMPION],
            previous_after=None,
            who=who,
            why=" ".join(why.split()),
            evidence={"pointer": pointed, "aliases": aliases},
        )
        return carry_out(registry, journal, journal.begin(entry))


def reinstate(registry: Registry, journal: Journal, model: str, *, who: str, why: str) -> Entry:
    """Bring a retired model back: the champion of before serves again, and others may follow.

    Returns
    -------
    Entry
        That of before for a model that was reinstated already.

    Raises
    ------
    DeclarationError
        Without a person or a reason.
    EvidenceError
        When the rollout journal was edited.
    RolloutError
        When the model is not retired.
    ArtifactError
        When its champion's files are gone or were changed: it stays retired.
    """
    require_words(who, why)
    with journal.exclusive(model):
        journal.verify()
        finished = complete(registry, journal, model)
        if finished is not None and (finished.action, finished.state) == (REINSTATE, "done"):
            return finished
        retirement = retired(journal, model)
        if retirement is None:
            raise RolloutError(f"{model} is not retired")
        verify_files(registry, registry.version(model, retirement.version))
        entry = Entry(
            model=model,
            action=REINSTATE,
            version=retirement.version,
            champion_before=None,
            previous_after=retirement.evidence["aliases"].get(PREVIOUS),
            who=who,
            why=why,
            evidence={"retired": retirement.hash},
        )
        return carry_out(registry, journal, journal.begin(entry))


def all_retired(journal: Journal) -> dict[str, Entry]:
    """The retired models with the change that took each out of service.

    One whose retirement was begun and cut off counts: it is on its way out.
    """
    entries = journal.entries()
    voided = {entry.change for entry in entries if entry.state == "void"}
    newest = {
        entry.model: entry
        for entry in entries
        if entry.action in (RETIRE, *SERVES) and entry.change not in voided
    }
    return {model: entry for model, entry in newest.items() if entry.action == RETIRE}


def _pointer(
    registry: Registry, model: str, successor: str | None, pointer: str | None
) -> dict[str, str]:
    if successor and pointer:
        raise DeclarationError("a successor or a pointer, not both")
    if successor:
        if successor == model:
            raise DeclarationError(f"{model} can't be its own successor")
        if CHAMPION not in registry.aliases(successor):
            raise RolloutError(f"the successor {successor} has no champion: nobody would answer")
        return {"successor": successor}
    if pointer:
        parts = urlsplit(pointer)
        plain = pointer.isascii() and pointer.isprintable() and not set(pointer) & set(' <>"')
        if parts.scheme not in ("http", "https") or not parts.netloc or not plain:
            raise DeclarationError(f"the pointer {pointer!r} is no http or https URL")
        return {"pointer": pointer}
    return {}
