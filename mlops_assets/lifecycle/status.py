"""What serves, since when and why: the state of every model, from registry and journal."""

from dataclasses import dataclass

from mlops_assets.lifecycle.registry import CHAMPION, Registry
from mlops_assets.lifecycle.rollout.history import (
    SERVES,
    Rollout,
    former_champion,
    retired,
    under_way,
)
from mlops_assets.lifecycle.rollout.journal import Entry, Journal


@dataclass(frozen=True)
class Serving:
    """What serves of one model.

    ``former`` is where a rollback would go, ``change`` what made the champion champion,
    ``retired`` what took the model out of service.
    """

    model: str
    champion: int | None
    former: int | None
    change: Entry | None
    unfinished: bool
    rollout: Rollout | None
    retired: Entry | None = None


def serving(registry: Registry, journal: Journal, model: str) -> Serving:
    """The state of one model, known or not."""
    champion = registry.aliases(model).get(CHAMPION)
    done = [e for e in journal.entries(model) if e.state == "done" and e.action in SERVES]
    return Serving(
        model=model,
        champion=champion,
        former=former_champion(journal, model, champion),
        change=done[-1] if done else None,
        unfinished=journal.unfinished(model) is not None,
        rollout=under_way(journal, model),
        retired=retired(journal, model),
    )
