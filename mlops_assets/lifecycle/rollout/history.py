"""What the journal tells of a model: who was champion, and which rollout is under way."""

from dataclasses import dataclass
from datetime import datetime

from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.registry import CHAMPION, Registry
from mlops_assets.lifecycle.rollout.journal import Entry, Journal
from mlops_assets.lifecycle.rollout.periods import Period

PROMOTE, ADOPT, ROLLBACK = "promote", "adopt", "rollback"
BEGIN, ADVANCE, ABORT = "begin", "advance", "abort"
LOAD_FAILED = "load_failed"
APPROVE, REFUSE = "approve", "refuse"
RETIRE, REINSTATE = "retire", "reinstate"
SERVES = (PROMOTE, ADOPT, ROLLBACK, REINSTATE)
ENDS = (*SERVES, ABORT, RETIRE)
MOVES = (*SERVES, BEGIN, ADVANCE, ABORT)


@dataclass(frozen=True)
class Rollout:
    """A version on its way to its users.

    Parameters
    ----------
    model : str
    version : int
    champion : int
        What serves the others, and what the version is compared with.
    strategy : str
    window : str
        Of the evaluation report that let it in.
    begun : Entry
    periods : tuple of Period
        Oldest first.
    names : tuple of str or None
        What champion and version are called in the prediction log, where it is not by role.
    ended : Entry or None
        What made it the champion or took it back; None while it is under way.
    """

    model: str
    version: int
    champion: int
    strategy: str
    window: str
    begun: Entry
    periods: tuple[Period, ...]
    names: tuple[str, str] | None = None
    ended: Entry | None = None

    @property
    def share(self) -> float:
        """The share of units that it serves now; 0 for a shadow."""
        return self.periods[-1].share


def champions(journal: Journal, model: str) -> list[int]:
    """Champions in order, without those that were rolled back from."""
    stack: list[int] = []
    for entry in _done(journal, model):
        if entry.action == ROLLBACK:
            while stack and stack[-1] != entry.version:
                stack.pop()
            stack = [v for v in stack if v != entry.champion_before]
        elif entry.action in SERVES:
            stack.append(entry.version)
    return stack


def former_champion(journal: Journal, model: str, champion: int | None) -> int | None:
    """The last version before ``champion`` that was champion and was not rolled back from."""
    stack = champions(journal, model)
    while stack and stack[-1] == champion:
        stack.pop()
    return stack[-1] if stack else None


def champion_before(stack: list[int], version: int, rolled_back: int) -> int | None:
    """Where a rollback would go once ``version`` is champion again."""
    earlier = [v for v in stack[: stack.index(version)] if v not in {version, rolled_back}]
    return earlier[-1] if earlier else None


def had_champion(registry: Registry, journal: Journal, model: str) -> bool:
    """Whether a model has a champion, or had one that was retired since."""
    return CHAMPION in registry.aliases(model) or bool(champions(journal, model))


def last_change(journal: Journal, model: str) -> Entry:
    """The newest finished change of a model's champion."""
    done = [e for e in _done(journal, model) if e.action in SERVES]
    if not done:
        raise RolloutError(f"{model} has a champion that the rollout journal knows nothing of")
    return done[-1]


def last_step(journal: Journal, model: str, version: int | None = None) -> Entry:
    """The newest finished change of what serves, or of one version's part in it."""
    steps = [e for e in _done(journal, model) if e.action in MOVES]
    if version is not None:
        steps = [e for e in steps if e.version == version]
    if not steps:
        raise RolloutError(f"the rollout journal knows of no change of {model}")
    return steps[-1]


def refused_for_good(journal: Journal, model: str, number: int) -> Entry | None:
    """The change that took a version back: it may not come again."""
    for entry in _done(journal, model):
        if entry.action == ROLLBACK and entry.champion_before == number:
            return entry
        if entry.action in (ABORT, REFUSE) and entry.version == number:
            return entry
    return None


def taken_back_since(journal: Journal, model: str, seq: int) -> Entry | None:
    """The newest change after a row of the journal that took a version back, if there is one."""
    done = [e for e in _done(journal, model) if e.seq > seq and e.action in (ROLLBACK, ABORT)]
    return done[-1] if done else None


def retired(journal: Journal, model: str) -> Entry | None:
    """The change that took a model out of service, unless it was taken back since."""
    done = [e for e in _done(journal, model) if e.action in (RETIRE, REINSTATE)]
    return done[-1] if done and done[-1].action == RETIRE else None


def under_way(journal: Journal, model: str) -> Rollout | None:
    """The rollout that has begun and not ended, if there is one."""
    rollout = latest_rollout(journal, model)
    return None if rollout is None or rollout.ended is not None else rollout


def latest_rollout(journal: Journal, model: str) -> Rollout | None:
    """The rollout that began last, ended or not."""
    steps: list[Entry] = []
    ended: Entry | None = None
    for entry in _done(journal, model):
        if entry.action == BEGIN:
            steps, ended = [entry], None
        elif entry.action == ADVANCE and steps:
            steps.append(entry)
        elif entry.action in ENDS and steps and ended is None:
            ended = entry
    if not steps:
        return None
    return _rollout(model, steps, ended)


def _rollout(model: str, steps: list[Entry], ended: Entry | None) -> Rollout:
    begun = steps[0]
    starts = [datetime.fromisoformat(step.at) for step in steps]
    end = None if ended is None else datetime.fromisoformat(ended.at)
    ends: list[datetime | None] = [*starts[1:], end]
    return Rollout(
        model=model,
        version=begun.version,
        champion=int(begun.champion_before or 0),
        strategy=begun.evidence["strategy"],
        window=begun.evidence["window"],
        begun=begun,
        periods=tuple(
            Period(start, end, float(step.evidence["share"]))
            for start, end, step in zip(starts, ends, steps, strict=True)
        ),
        names=tuple(begun.evidence["names"]) if "names" in begun.evidence else None,
        ended=ended,
    )


def _done(journal: Journal, model: str) -> list[Entry]:
    return [entry for entry in journal.entries(model) if entry.state == "done"]
