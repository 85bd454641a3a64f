"""Windows whose labels are all alike: whether that is chance, or a feed that tells one thing."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.gate.base import numbered

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.tasks import Answered


def beyond_chance(spec: "ModelSpec", live: "Answered", hold_out: "Answered | None") -> str:
    """Why labels that are all alike are no chance; empty where they are not alike, or by chance.

    Of the hold-out's units a share has no other labels than the window; that all of n units are
    such has probability share ** n. Chance explains what it does in more than
    ``monitoring.decay.false_alarms`` of windows. Without the hold-out's labels nothing explains it.

    Parameters
    ----------
    spec : ModelSpec
    live : Answered
        One row or more.
    hold_out : Answered or None
        Recorded answers.
    """
    import numpy as np

    alike = spec.task_type.check_truth(live.truth)
    if alike is None:
        return ""
    units = len(set(live.clusters))
    if hold_out is None or spec.task_type.check_truth(hold_out.truth):
        return f"{alike} on {units} units, and the hold-out's labels are not at hand"
    cluster, count = numbered(hold_out.clusters)
    others = np.bincount(cluster, ~np.isin(hold_out.truth, live.truth), count)
    share = float((others == 0).mean())
    chance = share**units
    if chance >= spec.decay_false_alarms:
        return ""
    return (
        f"{alike} on {units} units, and of the hold-out's {count} units {share:.1%} have no other: "
        f"by chance all have in {chance:.1g} of windows"
    )
