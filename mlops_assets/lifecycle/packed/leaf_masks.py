"""Trees without walks, for many rows at once: which leaves does each split that fails rule out?

Of a split whose condition is false the leaves on its left can't be reached. The first leaf, from
the left, that no split has ruled out is the one that the walk from the root would end at. All
splits are looked at, but none waits for the one before it and none can be mispredicted, and the
processor looks at several rows at once.

References
----------
Lucchese, Nardini, Orlando, Perego, Tonellotto, Venturini: QuickScorer: A Fast Algorithm to Rank
Documents with Additive Ensembles of Regression Trees, SIGIR 2015, section 3; the same authors:
Exploiting CPU SIMD Extensions to Speed-up Document Scoring with Tree Ensembles, SIGIR 2016.
"""

from dataclasses import dataclass

import numpy as np

from mlops_assets.lifecycle.packed.compiling import compiled
from mlops_assets.lifecycle.packed.kernels import CATEGORICAL, MISSING_LEFT

# A leaf is a bit of a word.
MOST_LEAVES = 64
# For fewer rows, the walks take less time.
MASKED_FROM = 8
BLOCK, LANES = 128, 16
ALL = np.uint64(2**64 - 1)

SPLIT = np.dtype(
    [("feature", "<i4"), ("missing_left", "<i4"), ("threshold", "<f8"), ("left_out", "<u8")]
)

# The place of the only bit of a word, by its product with a de Bruijn sequence.
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
PLACES = np.zeros(64, np.int64)
PLACES[[(int(DE_BRUIJN) << place & int(ALL)) >> 58 for place in range(64)]] = range(64)


@dataclass(frozen=True)
class LeafMasks:
    """The trees of an ensemble, as the leaves that each split rules out.

    Parameters
    ----------
    splits : ndarray of SPLIT
        Tree by tree; ``left_out`` has no bit of a leaf that is out when the condition is false.
    first_split : ndarray of int32, shape (n_trees + 1,)
    leaves : ndarray of float64
        Tree by tree, from left to right.
    first_leaf : ndarray of int32, shape (n_trees + 1,)
    """

    splits: np.ndarray
    first_split: np.ndarray
    leaves: np.ndarray
    first_leaf: np.ndarray

    @classmethod
    def of(cls, nodes: np.ndarray, roots: np.ndarray) -> "LeafMasks | None":
        """The masks of checked trees, or None of trees that have to be walked.

        Those have more than 64 leaves, categorical splits, or nodes with several parents.

        Parameters
        ----------
        nodes : ndarray of NODE
            Children come after their parent.
        roots : ndarray of int32, shape (n_trees,)
        """
        is_split = nodes["left"] >= 0
        split = nodes[is_split]
        reached = np.concatenate([roots, split["left"], split["right"]])
        if (split["flags"] & CATEGORICAL).any() or len(np.unique(reached)) < len(reached):
            return None
        below = _leaves_below(nodes)
        if below[roots].max() > MOST_LEAVES:
            return None
        tree, place = _places(nodes, roots, below)
        known = tree >= 0
        own = np.flatnonzero(is_split & known)
        own = own[np.argsort(tree[own], kind="stable")]
        ends = np.flatnonzero(~is_split & known)
        ends = ends[np.lexsort((place[ends], tree[ends]))]
        return cls(
            _splits(nodes[own], below[nodes["left"][own]], place[own]),
            _starts(tree[own], len(roots)),
            np.ascontiguousarray(nodes["number"][ends]),
            _starts(tree[ends], len(roots)),
        )

    def sums(self, matrix: np.ndarray, baseline: np.ndarray, out: np.ndarray) -> None:
        """What `kernels.sum_of_trees` gives, to the bit, for many rows in a fraction of the time.

        Parameters
        ----------
        matrix : ndarray of float64, shape (n, n_features)
        baseline : ndarray of float64, shape (k,)
        out : ndarray of float64, shape (n, k)
        """
        _sums(
            matrix, self.splits, self.first_split, self.leaves, self.first_leaf, baseline, out
        )  # fmt: skip


def _splits(nodes: np.ndarray, left_leaves: np.ndarray, place: np.ndarray) -> np.ndarray:
    found = np.empty(len(nodes), SPLIT)
    found["feature"] = nodes["feature"]
    found["threshold"] = nodes["number"]
    found["missing_left"] = nodes["flags"] & MISSING_LEFT
    # A left child has 63 leaves at most: its right sibling has one.
    ruled_out = ((np.uint64(1) << left_leaves.astype(np.uint64)) - np.uint64(1)) << place.astype(
        np.uint64
    )
    found["left_out"] = ~ruled_out
    return found


def _starts(trees: np.ndarray, count: int) -> np.ndarray:
    """Where each tree's part begins in what is sorted by tree, and the end."""
    return np.searchsorted(trees, np.arange(count + 1)).astype(np.int32)


@compiled
def _leaves_below(nodes):
    """How many leaves each node has below it, shape (n_nodes,); from 65 on not counted."""
    found = np.ones(nodes.shape[0], np.int64)
    for node in range(nodes.shape[0] - 1, -1, -1):
        if nodes[node].left >= 0:
            both = found[nodes[node].left] + found[nodes[node].right]
            found[node] = min(both, MOST_LEAVES + 1)
    return found


@compiled
def _places(nodes, roots, below):
    """The tree of each node, -1 for none, and how many leaves of it are on the node's left."""
    tree = np.full(nodes.shape[0], -1, np.int64)
    place = np.zeros(nodes.shape[0], np.int64)
    for t in range(roots.shape[0]):
        tree[roots[t]] = t
    for node in range(nodes.shape[0]):
        left, right = nodes[node].left, nodes[node].right
        if left >= 0 and tree[node] >= 0:
            tree[left] = tree[right] = tree[node]
            place[left] = place[node]
            place[right] = place[node] + below[left]
    return tree, place


@compiled
def _sums(matrix, splits, first_split, leaves, first_leaf, baseline, out):
    rows, outputs = out.shape
    across = np.zeros((matrix.shape[1], BLOCK))
    left = np.empty(BLOCK, np.uint64)
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        # A whole number of vectors; what is computed beyond the rows is not read.
        lanes = (n + LANES - 1) // LANES * LANES
        for i in range(n):
            for c in range(outputs):
                out[start + i, c] = baseline[c]
            for feature in range(matrix.shape[1]):
                across[feature, i] = matrix[start + i, feature]
        for t in range(first_split.shape[0] - 1):
            left[:lanes] = ALL
            for s in range(first_split[t], first_split[t + 1]):
                split = splits[s]
                x, threshold, mask = across[split.feature], split.threshold, split.left_out
                # Either way a NaN, which no comparison holds for, goes where it should.
                if split.missing_left:
                    for i in range(lanes):
                        left[i] &= mask if x[i] > threshold else ALL
                else:
                    for i in range(lanes):
                        left[i] &= ALL if x[i] <= threshold else mask
            c = t % outputs
            for i in range(n):
                lowest = left[i] & (~left[i] + np.uint64(1))
                leaf = PLACES[(lowest * DE_BRUIJN) >> np.uint64(58)]
                out[start + i, c] += leaves[first_leaf[t] + leaf]
