"""Which version answers whom."""

import random
import zlib
from dataclasses import dataclass
from functools import cached_property

from mlops_assets.lifecycle.registry import CANARY, CHAMPION, SHADOW
from mlops_assets.serving.loading import ServedModel

BUCKETS = 2**32
# Asked for by its number: no choice of the router's, so no evidence of a comparison either.
PINNED = "pinned"


@dataclass(frozen=True)
class Routed:
    """A version, and the role in which it answers."""

    model: ServedModel
    variant: str


@dataclass(frozen=True)
class Routes:
    """The versions of one model that serve.

    Parameters
    ----------
    champion : ServedModel
    canary : ServedModel or None
    share : float
        Of the units, those that the canary answers.
    shadow : ServedModel or None
        Asked about everything, answers nobody.
    names : tuple of str
        What the prediction log calls champion and canary.
    """

    champion: ServedModel
    canary: ServedModel | None = None
    share: float = 0.0
    shadow: ServedModel | None = None
    names: tuple[str, str] = (CHAMPION, CANARY)

    def route(self, unit: str | None) -> Routed:
        """Who answers a unit: the same version each time, until the share changes.

        A larger share keeps those that a smaller one had: their bucket does not depend on it. It
        depends on the canary's version, so that the same units are not always the first. Who does
        not say which unit it is goes by chance.
        """
        if self.canary is None or self._bucket(unit) >= self.share:
            return self.to_champion
        return Routed(self.canary, self.names[1])

    @cached_property
    def to_champion(self) -> Routed:
        """The champion, in its role."""
        return Routed(self.champion, self.names[0])

    def roles(self) -> dict[str, ServedModel]:
        """The versions by their role."""
        champion, canary = self.names
        found = {champion: self.champion, canary: self.canary, SHADOW: self.shadow}
        return {variant: model for variant, model in found.items() if model is not None}

    def _bucket(self, unit: str | None) -> float:
        if unit is None:
            return random.random()
        version = self.canary.version if self.canary else self.champion.version
        # surrogatepass: what the client called the unit must not fail here.
        salted = f"{version.model}/{version.number}/{unit}".encode("utf-8", "surrogatepass")
        return zlib.crc32(salted) / BUCKETS

    def __str__(self) -> str:
        words = f"v{self.champion.version.number} serves"
        if self.canary is not None:
            words += f", v{self.canary.version.number} to {self.share:.0%} of the units"
        if self.shadow is not None:
            words += f", v{self.shadow.version.number} in its shadow"
        return words
