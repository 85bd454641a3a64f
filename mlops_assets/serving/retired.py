"""Models that were taken out of service: what their addresses answer."""

import json
import logging
from dataclasses import dataclass
from typing import Any

from mlops_assets.lifecycle.registry import RETIRED_TAG, TAG
from mlops_assets.serving.errors import RequestError, brief

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retired:
    """Since when and why a model is out of service, and where its clients should go."""

    since: str
    why: str
    successor: str | None = None
    pointer: str | None = None

    @classmethod
    def of(cls, tags: dict[str, str]) -> "Retired | None":
        """What a registered model's tags say, or None for one in service.

        A tag that can't be read retires as well: it was set.
        """
        tag = tags.get(f"{TAG}{RETIRED_TAG}")
        if tag is None:
            return None
        try:
            return cls(**json.loads(tag))
        except (ValueError, TypeError):
            return cls("a date that can't be read", "the registry's tag can't be read")

    @property
    def link(self) -> str | None:
        """Where clients should go, as a URL or a path of this server."""
        return f"/v2/models/{self.successor}" if self.successor else self.pointer

    def __str__(self) -> str:
        words = f"retired since {self.since}: {self.why}"
        if self.successor:
            return f"{words}; ask {self.successor} instead"
        return f"{words}; see {self.pointer}" if self.pointer else words


class Gone(RequestError):
    """410: the model was taken out of service."""

    def __init__(self, model: str, retired: Retired):
        super().__init__(410, f"{model} is {retired}")
        self._link = retired.link

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The successor as RFC 5829 has it."""
        return (("link", f'<{self._link}>; rel="successor-version"'),) if self._link else ()


def from_journal(database_url: str) -> dict[str, Retired]:
    """The retired models as the rollout journal tells, for a start without the registry."""
    from sqlalchemy.exc import SQLAlchemyError

    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.lifecycle.rollout.retirement import all_retired

    try:
        found = all_retired(Journal(database_url))
    except (SQLAlchemyError, OSError) as error:
        log.warning("the rollout journal can't be read either: %s", brief(error))
        return {}
    return {name: _of(entry) for name, entry in found.items()}


def _of(entry: Any) -> Retired:
    return Retired(since=entry.at, why=entry.why, **entry.evidence["pointer"])
