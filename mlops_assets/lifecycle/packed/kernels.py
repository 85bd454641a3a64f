"""The inner loops of the steps, compiled.

Each repeats, operation by operation, what scikit-learn does, in its order.
"""

import math

import numpy as np

from mlops_assets.lifecycle.packed.compiling import compiled

# A node is a split (left >= 0) or a leaf (left = -1). Children come after their parent.
# number: a split's threshold, or the value of a leaf that holds one number;
# right of a leaf: its row in the values, where it holds several.
# flags: 1 missing values go left, 2 categorical; the bits above number its set of categories.
NODE = np.dtype(
    [("feature", "<i4"), ("left", "<i4"), ("right", "<i4"), ("flags", "<i4"), ("number", "<f8")]
)
MISSING_LEFT, CATEGORICAL, SET_SHIFT = 1, 2, 2
SET_WORDS = 8
SET_SIZE = 32 * SET_WORDS

# One operation on one column; start and size point into the tables.
OPERATION = np.dtype(
    [("code", "<i4"), ("start", "<i4"), ("size", "<i4"), ("_", "<i4"), ("a", "<f8"), ("b", "<f8")]
)
SUBTRACT, DIVIDE, MULTIPLY, ADD, CLIP, FILL, FIND, LOOKUP, EQUALS = range(9)
OPERATIONS = 9


@compiled
def columns(matrix, source, first, operations, tables, out):
    """Compute each column of ``out`` from one column of ``matrix``.

    Parameters
    ----------
    matrix : ndarray of shape (n, n_in)
    source : ndarray of int32, shape (n_out,)
    first : ndarray of int32, shape (n_out + 1,)
        Column j runs ``operations[first[j]:first[j + 1]]``.
    operations : ndarray of OPERATION
    tables : ndarray of float64
    out : ndarray of shape (n, n_out)

    Returns
    -------
    int
        The first row with an infinite number, or -1.
    """
    for i in range(matrix.shape[0]):
        for j in range(source.shape[0]):
            x = matrix[i, source[j]]
            if math.isinf(x):
                return i
            for o in range(first[j], first[j + 1]):
                x = _operate(x, operations[o], tables)
            out[i, j] = x
    return -1


@compiled
def _operate(x, operation, tables):
    code = operation.code
    if code == SUBTRACT:
        return x - operation.a
    if code == DIVIDE:
        return x / operation.a
    if code == MULTIPLY:
        return x * operation.a
    if code == ADD:
        return x + operation.a
    if code == CLIP:
        # As written, a NaN stays one.
        if x < operation.a:
            return operation.a
        return operation.b if x > operation.b else x
    if code == FILL:
        return operation.a if math.isnan(x) else x
    if code == FIND:
        return _find(x, tables, operation.start, operation.size)
    if code == LOOKUP:
        if math.isnan(x):
            return tables[operation.start + 1]
        if not 0 <= x < operation.size - 2:
            return tables[operation.start]
        return tables[operation.start + 2 + int(x)]
    return 1.0 if x == operation.a else 0.0


@compiled
def _find(x, tables, start, size):
    # The place of x among sorted numbers, -1 when it is not there, NaN for NaN.
    if math.isnan(x):
        return x
    low, high = start, start + size
    while low < high:
        middle = (low + high) // 2
        if tables[middle] < x:
            low = middle + 1
        else:
            high = middle
    if low < start + size and tables[low] == x:
        return float(low - start)
    return -1.0


@compiled
def first_not_finite(matrix):
    """The first row with a NaN or an infinite number, or -1."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            if not math.isfinite(matrix[i, j]):
                return i
    return -1


@compiled
def to_single(matrix, nan_allowed, out):
    """Round to float32, as trees compare; the first row that is refused, or -1."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            x = np.float32(matrix[i, j])
            if math.isinf(x) or (math.isnan(x) and not nan_allowed):
                return i
            out[i, j] = x
    return -1


@compiled
def mean_of_trees(matrix, nodes, roots, values, averaged, out):
    """The mean of the trees' leaves, added tree by tree.

    Parameters
    ----------
    matrix : ndarray of float64, shape (n, n_features)
    nodes : ndarray of NODE
    roots : ndarray of int32, shape (n_trees,)
    values : ndarray of float64, shape (n_leaves, n_outputs)
        Not read for one output, whose numbers are in the leaves.
    averaged : bool
        False for a lone tree, whose leaf is the answer.
    out : ndarray of float64, shape (n, n_outputs)
    """
    outputs, trees = out.shape[1], roots.shape[0]
    out[:, :] = 0.0
    for t in range(trees):
        for i in range(matrix.shape[0]):
            node = roots[t]
            while nodes[node].left >= 0:
                x = matrix[i, nodes[node].feature]
                if math.isnan(x):
                    left = nodes[node].flags & MISSING_LEFT
                else:
                    left = 1 if x <= nodes[node].number else 0
                node = nodes[node].left if left else nodes[node].right
            if outputs == 1:
                value = nodes[node].number
                # Not 0.0 + value, which would turn -0.0 into 0.0.
                out[i, 0] = out[i, 0] + value if averaged else value
            else:
                leaf = nodes[node].right
                for c in range(outputs):
                    out[i, c] += values[leaf, c]
    if averaged:
        for i in range(matrix.shape[0]):
            for c in range(outputs):
                out[i, c] /= trees


@compiled
def sum_of_trees(matrix, nodes, roots, baseline, sets, known, out):
    """A baseline and the leaves of all trees, added tree by tree; tree t adds to output t mod k.

    Parameters
    ----------
    matrix : ndarray of float64, shape (n, n_features)
    nodes : ndarray of NODE
    roots : ndarray of int32, shape (n_trees,)
    baseline : ndarray of float64, shape (k,)
    sets : ndarray of uint32, shape (n_sets, 8)
        The categories that go left, as bits.
    known : ndarray of uint32, shape (n_features, 8)
        The categories of each feature that were seen in training.
    out : ndarray of float64, shape (n, k)
    """
    outputs = out.shape[1]
    for i in range(matrix.shape[0]):
        for c in range(outputs):
            out[i, c] = baseline[c]
    for t in range(roots.shape[0]):
        c = t % outputs
        for i in range(matrix.shape[0]):
            node = roots[t]
            while nodes[node].left >= 0:
                feature = nodes[node].feature
                x = matrix[i, feature]
                flags = nodes[node].flags
                if math.isnan(x):
                    left = flags & MISSING_LEFT
                elif flags & CATEGORICAL:
                    left = flags & MISSING_LEFT
                    if 0 <= x < SET_SIZE:
                        category = int(x)
                        word, bit = category >> 5, category & 31
                        if (sets[flags >> SET_SHIFT, word] >> bit) & 1:
                            left = 1
                        elif (known[feature, word] >> bit) & 1:
                            left = 0
                else:
                    left = 1 if x <= nodes[node].number else 0
                node = nodes[node].left if left else nodes[node].right
            out[i, c] += nodes[node].number


@compiled
def sparse_product(matrix, coef, out):
    """``matrix @ coef.T`` as scipy multiplies a sparse matrix: one nonzero after the other.

    Parameters
    ----------
    matrix : ndarray of float64, shape (n, n_features)
    coef : ndarray of float64, shape (k, n_features)
    out : ndarray of float64, shape (n, k)
    """
    for i in range(matrix.shape[0]):
        for c in range(coef.shape[0]):
            total = 0.0
            for j in range(matrix.shape[1]):
                if matrix[i, j] != 0.0:
                    total += matrix[i, j] * coef[c, j]
            out[i, c] = total
