"""Trees asked by the leaves that their splits rule out, against a walk in plain Python."""

import math

import numpy as np
import pytest

from mlops_assets.lifecycle.packed.kernels import CATEGORICAL, MISSING_LEFT, NODE
from mlops_assets.lifecycle.packed.leaf_masks import LeafMasks

WIDTH = 5
THRESHOLDS = (-math.inf, -1.0, -0.5, -0.0, 0.25, 1.0, math.inf)
VALUES = (*THRESHOLDS, math.nan, 0.3, -2.0)


def grown(leaves, random, chain=False):
    """A tree of so many leaves, split at random, or each time at its last leaf; root first."""
    nodes = np.zeros(2 * leaves - 1, NODE)
    nodes["left"] = -1
    nodes["number"] = random.normal(size=len(nodes))
    open_leaves = [0]
    for first in range(1, len(nodes), 2):
        split = open_leaves.pop(-1 if chain else random.integers(len(open_leaves)))
        flags = random.choice([0, MISSING_LEFT])
        feature = random.integers(WIDTH)
        nodes[split] = (feature, first, first + 1, flags, random.choice(THRESHOLDS))
        open_leaves += [first, first + 1]
    return nodes


def ensemble(trees):
    """The trees in one array, and their roots."""
    roots = np.cumsum([0, *map(len, trees)])[:-1].astype(np.int32)
    nodes = np.concatenate(trees)
    for root, tree in zip(roots, trees, strict=True):
        own = nodes[root : root + len(tree)]
        for child in ("left", "right"):
            own[child][tree["left"] >= 0] += root
    return nodes, roots


def walked(nodes, root, row):
    node = nodes[root]
    while node["left"] >= 0:
        x = row[node["feature"]]
        goes_left = node["flags"] & MISSING_LEFT if math.isnan(x) else x <= node["number"]
        node = nodes[node["left"] if goes_left else node["right"]]
    return node["number"]


def summed(nodes, roots, row, baseline):
    sums = baseline.copy()
    for t, root in enumerate(roots):
        sums[t % len(sums)] += walked(nodes, root, row)
    return sums


@pytest.mark.parametrize("rows", [1, 7, 16, 17, 128, 129, 300])
@pytest.mark.parametrize("outputs", [1, 3])
def test_each_row_ends_where_a_walk_ends(rows, outputs):
    random = np.random.default_rng(rows)
    sizes = [1, 2, 3, 31, 63, 64]
    trees = [grown(n, random) for n in sizes] + [grown(n, random, chain=True) for n in sizes]
    nodes, roots = ensemble(trees)
    matrix = random.choice(VALUES, size=(rows, WIDTH))
    baseline, out = random.normal(size=outputs), np.empty((rows, outputs))

    masks = LeafMasks.of(nodes, roots)
    masks.sums(matrix, baseline, out)
    expected = [summed(nodes, roots, row, baseline) for row in matrix]
    assert out.tobytes() == np.array(expected).tobytes()


def test_more_leaves_than_a_word_has_bits_are_walked():
    random = np.random.default_rng(0)
    assert LeafMasks.of(*ensemble([grown(64, random)])) is not None
    assert LeafMasks.of(*ensemble([grown(3, random), grown(65, random)])) is None


def test_categorical_splits_are_walked():
    nodes, roots = ensemble([grown(4, np.random.default_rng(0))])
    nodes["flags"][0] |= CATEGORICAL
    assert LeafMasks.of(nodes, roots) is None


def test_crafted_trees_that_share_nodes_are_walked():
    nodes, roots = ensemble([grown(4, np.random.default_rng(0))] * 2)
    nodes["right"][roots[0]] = roots[1]
    assert LeafMasks.of(nodes, roots) is None
    nodes, roots = ensemble([grown(4, np.random.default_rng(0))])
    assert LeafMasks.of(nodes, np.array([0, 0], np.int32)) is None
