"""Asking an estimator with an array instead of a frame, where it answers the same to the bit.

Making a frame of one row and having scikit-learn take it apart again costs more than the model.
"""

import copy
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.serving.payload import RecordReader, Row

if TYPE_CHECKING:
    from mlops_assets.lifecycle.tasks import Task

_NAMES = "feature_names_in_"
# float32 is left out: scikit-learn scores a frame of it in single precision.
_PLAIN = frozenset({"float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"})


def matrix(rows: Sequence[Row]) -> np.ndarray:
    """The features as an array of shape (n_rows, n_features); a missing number is NaN."""
    return np.array([tuple(row.features.values()) for row in rows], dtype=np.float64)


def for_arrays(estimator: Any, task: "Task", reader: RecordReader, rows: list[Row]) -> Any:
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
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answered = task.answers(nameless, matrix(rows))
    except (ValueError, TypeError, AttributeError, IndexError, Warning):
        # It selects columns by name, say.
        return None
    return nameless if answered == expected else None


def _without_names(estimator: Any) -> Any:
    # An estimator that knows names warns at every array.
    made = copy.copy(estimator)
    vars(made).pop(_NAMES, None)
    if isinstance(getattr(made, "steps", None), list):
        made.steps = [(name, _without_names(step)) for name, step in made.steps]
    return made
