"""How an estimator may be asked faster, where it answers the same to the bit.

With an array instead of a frame: making a frame of one row and having scikit-learn take it apart
again costs more than the model. And for several requests at once.
"""

import copy
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.serving.payload import RecordReader
from mlops_assets.serving.rows import Values

if TYPE_CHECKING:
    from mlops_assets.lifecycle.tasks import Task

PROBES = 256
PROBE_SECONDS = 0.5

_NAMES = "feature_names_in_"
# float32 is left out: scikit-learn scores a frame of it in single precision.
_PLAIN = frozenset({"float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"})


def matrix(rows: Sequence[Values]) -> np.ndarray:
    """The features as an array of shape (n_rows, n_features); a missing number is NaN."""
    # Column by column, as a frame's values are: BLAS rounds otherwise by the order in memory.
    return np.array(rows, np.float64, order="F")


def for_arrays(estimator: Any, task: "Task", reader: RecordReader, rows: list[Values]) -> Any:
    """The estimator to ask with `matrix`, or None where it has to be asked with frames.

    It is proved on rows: no error, no warning, and every answer the same to the bit.

    Parameters
    ----------
    estimator : object
        Fitted.
    task : Task
    reader : RecordReader
    rows : list of Row
        The version's own example.
    """
    dtypes = {feature.dtype for feature in reader.serving.features}
    if not task.tabular or "float64" not in dtypes or not dtypes <= _PLAIN or not rows:
        return None
    nameless = _without_names(estimator)
    expected = task.answers(estimator, reader.frame(rows))
    try:
        # Recorded, not raised: other threads are answering, and may warn of what they like.
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            answered = task.answers(nameless, matrix(rows))
    except (ValueError, TypeError, AttributeError, IndexError):
        # It selects columns by name, say.
        return None
    return nameless if answered == expected and not warned else None


def batches_alike(answers: Callable[[list[Values]], list[Any]], rows: list[Values]) -> bool:
    """Whether a row is answered the same to the bit alone and among others.

    Trees are; BLAS rounds a product by how many rows it has. A prediction that depended on who
    else asked in the same millisecond could not be scored again to the same bits, so a model that
    fails here is asked for each request apart.

    Parameters
    ----------
    answers : callable
        From rows to their answers.
    rows : list of Row
        The version's own example, from which rows nearby are drawn.
    """
    if not rows:
        return False
    probes = [_nearby(rows[n % len(rows)], np.random.default_rng(n)) for n in range(PROBES)]
    try:
        together = answers(probes)
        end = time.monotonic() + PROBE_SECONDS
        for row, expected in zip(probes, together, strict=True):
            if answers([row]) != [expected]:
                return False
            if time.monotonic() > end:
                break
    except ValueError:
        # The rows are made up: the model may know no such values.
        return False
    return True


def _nearby(row: Values, random: np.random.Generator) -> Values:
    return tuple(
        value * random.uniform(0.5, 1.5) if isinstance(value, float) else value for value in row
    )


def _without_names(estimator: Any) -> Any:
    # An estimator that knows names warns at every array.
    made = copy.copy(estimator)
    vars(made).pop(_NAMES, None)
    if isinstance(getattr(made, "steps", None), list):
        made.steps = [(name, _without_names(step)) for name, step in made.steps]
    return made
