"""Models that were taken out of service: what their addresses answer."""

import json
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlops_assets.lifecycle.registry import RETIRED_TAG, TAG
from mlops_assets.serving.errors import RequestError, brief

# What a URL is made of; anything else could end the header.
_URL = ":/?#[]@!$&'()*+,;=%"

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
            said = json.loads(tag)
            if all(isinstance(value, str) for value in said.values()):
                return cls(**said)
        except (ValueError, TypeError, AttributeError):
            pass
        return cls("a date that can't be read", "the registry's tag can't be read")

    @property
    def link(self) -> str | None:
        """Where clients should go, as a URL or a path of this server."""
        if self.successor:
            return f"/v2/models/{quote(self.successor, safe='')}"
        return self.pointer and quote(self.pointer, safe=_URL)

    def __str__(self) -> str:
        words = f"retired since {self.since}: {self.why}"
        if self.successor:
            return f"{words}; ask {self.successor} instead"
        return f"{words}; see {self.pointer}" if self.pointer else words


class Gone(RequestError):
    """410: the model was taken out of service."""

    def __init__(self, model: str, retired: Retired):
        # The successor as RFC 5829 has it.
        link = {"link": f'<{retired.link}>; rel="successor-version"'} if retired.link else {}
        super().__init__(410, f"{model} is {retired}", link)


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
