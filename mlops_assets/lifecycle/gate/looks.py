"""How often a hold-out was asked.

A hold-out that is asked until it says yes says yes in the end (Dwork et al., "The reusable
holdout", Science 349, 2015). Every question is therefore written to the registry before its answer
is known, as a tag of the registered model: deleting a report, a version or a run does not take it
back. The first look has the declared alpha, and each further one half the level of the one before
(alpha spending; Foster and Stine, "Alpha-investing", JRSS B 70, 2008): however often one looks, an
equal challenger is found better by chance in less than 2 alpha of cases.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.lifecycle.registry import Registry

TAG = "mlops.look."


def level_at(alpha: float, look: int) -> float:
    """The level at which a look is judged, counted from 1.

    Examples
    --------
    >>> [level_at(0.05, look) for look in (1, 2, 3)]
    [0.05, 0.025, 0.0125]
    """
    return alpha / 2 ** (look - 1)


def taken(registry: "Registry", model: str, data_version: str, question: str) -> int:
    """Write down that a hold-out is asked; which look at it this is, counted from 1.

    Parameters
    ----------
    data_version : str
        Of the hold-out.
    question : str
        Fingerprint of what is asked: challenger, champion, hold-out and policy. The same question
        again is no new look.
    """
    mine = f"{TAG}{data_version}.{question}"
    if mine not in _all(registry, model, data_version):
        moment = datetime.now(UTC).isoformat(timespec="microseconds")
        registry.client.set_registered_model_tag(model, mine, moment)
    return _all(registry, model, data_version).index(mine) + 1


def _all(registry: "Registry", model: str, data_version: str) -> list[str]:
    """The looks at a hold-out, oldest first."""
    tags = registry.client.get_registered_model(model).tags
    looks = [(at, tag) for tag, at in tags.items() if tag.startswith(f"{TAG}{data_version}.")]
    return [tag for _, tag in sorted(looks)]
