"""Windows whose labels are all alike: whether that is chance, or a feed that tells one thing."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.gate.base import numbered

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.tasks import Answered


def beyond_chance(spec: "ModelSpec", live: "Answered", hold_out: "Answered | None") -> str:
    """Why labels that are all alike are no chance; empty where they are not alike, or by chance.

    The chance is that of units drawn from the hold-out, of each of which as many rows are drawn as
    a unit of the window has (hypergeometric: rows of a unit are not independent). Chance explains
    what it does in ``monitoring.decay.false_alarms`` of windows or more. Without the hold-out's
    labels nothing explains it.

    Parameters
    ----------
    spec : ModelSpec
    live : Answered
        One row or more.
    hold_out : Answered or None
        Recorded answers.
    """
    alike = spec.task_type.check_truth(live.truth)
    if alike is None:
        return ""
    units = f"{len(live.truth)} rows of {len(set(live.clusters))} units"
    if hold_out is None or spec.task_type.check_truth(hold_out.truth):
        return f"{alike} on {units}, and the hold-out's labels are not at hand"
    chance, share = _chance(live, hold_out)
    if chance >= spec.decay_false_alarms:
        return ""
    return (
        f"{alike} on {units}, as on {share:.1%} of the hold-out's rows: by chance in {chance:.1g} "
        "of windows"
    )


def _chance(live: "Answered", hold_out: "Answered") -> tuple[float, float]:
    """The probability of a window of such labels only, and their share of the hold-out's rows."""
    import numpy as np
    from scipy import stats

    such = np.isin(hold_out.truth, live.truth)
    cluster, count = numbered(hold_out.clusters)
    rows, alike = np.bincount(cluster, minlength=count), np.bincount(cluster, such, count)
    sizes, times = np.unique(np.bincount(numbered(live.clusters)[0]), return_counts=True)
    chance = 1.0
    for size, often in zip(sizes, times, strict=True):
        drawn = np.minimum(size, rows)
        chance *= float(stats.hypergeom.pmf(drawn, rows, alike, drawn).mean()) ** often
    return chance, float(such.mean())
