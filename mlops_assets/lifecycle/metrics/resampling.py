"""Inner loops of the bootstrap of rank metrics: sort once, then one pass over the rows a draw.

Rows come sorted; ``last`` marks the last row of each run of equal scores, which is one step.
"""

import numpy as np

from mlops_assets.lifecycle.packed.compiling import compiled


def counted(picked: np.ndarray) -> np.ndarray:
    """How often each unit was picked: (n_draws, n_units) of unit numbers to counts, uint8.

    No count reaches 256 in practice: of n picks from n units that has a probability below 1e-500.
    """
    counts = np.zeros(picked.shape, np.uint8)
    _count(picked, counts)
    return counts


def area(counts, cluster, across, along, last) -> np.ndarray:
    """Area under the line of cumulated shares, ``along`` over ``across``, for each draw.

    Parameters
    ----------
    counts : ndarray of uint8, shape (n_draws, n_units)
    cluster : ndarray of int32, shape (n_rows,)
    across, along : ndarray of float, shape (n_rows,)
        Weights that are cumulated on either axis.
    last : ndarray of bool, shape (n_rows,)

    Returns
    -------
    ndarray of shape (n_draws,)
        NaN where either sum is 0.
    """
    areas = np.empty(len(counts))
    _area(counts, cluster, across, along, last, areas)
    return areas


def steps(counts, cluster, weights, hits, last) -> np.ndarray:
    """Average precision for each draw: ``hits`` is the weight of positives, 0 elsewhere.

    Parameters and result as in :func:`area`.
    """
    found = np.empty(len(counts))
    _steps(counts, cluster, weights, hits, last, found)
    return found


@compiled
def _count(picked, counts):
    for draw in range(picked.shape[0]):
        for place in range(picked.shape[1]):
            counts[draw, picked[draw, place]] += 1


@compiled
def _area(counts, cluster, across, along, last, areas):
    for draw in range(counts.shape[0]):
        own = counts[draw]
        x = y = under = step_x = step_y = 0.0
        for row in range(cluster.shape[0]):
            count = own[cluster[row]]
            step_x += count * across[row]
            step_y += count * along[row]
            if last[row]:
                under += step_x * (y + step_y / 2)
                x += step_x
                y += step_y
                step_x = step_y = 0.0
        areas[draw] = under / (x * y) if x * y != 0 else np.nan


@compiled
def _steps(counts, cluster, weights, hits, last, found):
    for draw in range(counts.shape[0]):
        own = counts[draw]
        total = positives = score = step = 0.0
        for row in range(cluster.shape[0]):
            count = own[cluster[row]]
            total += count * weights[row]
            step += count * hits[row]
            if last[row] and step > 0:
                positives += step
                score += step * positives / total
                step = 0.0
        found[draw] = score / positives if positives > 0 else np.nan
