"""The corrected resampled t-test, for cross-validation.

The gate does not use it: it judges on a hold-out that neither model has seen, where rows are
evidence of their own. It is here for choosing among estimators before a model is declared.
"""

import math
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.gate.base import Interval, student, too_few

if TYPE_CHECKING:
    import numpy as np


def corrected_resampled_t(gains: "np.ndarray", test_over_train: float, alpha: float) -> Interval:
    """Test a mean gain over the splits of a (repeated) cross-validation.

    Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003: the
    splits share training rows, so that the variance of their mean is ``(1/J + n_test/n_train)``
    times that of a split, not ``1/J``; with r repetitions of k folds as Bouckaert and Frank,
    "Evaluating the replicability of significance tests for comparing learning algorithms", PAKDD
    2004, recommend.

    Parameters
    ----------
    gains : ndarray of shape (n_splits,)
        The challenger's metric less the rival's on each split, positive where better.
    test_over_train : float
        Rows tested over rows trained on in a split: 1/9 for ten folds.
    alpha : float

    Returns
    -------
    Interval
        Whose units are the splits.

    Raises
    ------
    ValueError
        When ``test_over_train`` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> round(corrected_resampled_t(np.arange(10.0), 1 / 9, 0.05).p_value, 4)
    0.0109
    """
    import numpy as np

    if not test_over_train > 0:
        raise ValueError(f"test_over_train is {test_over_train}: rows tested over rows trained on")
    count, mean = len(gains), float(np.mean(gains))
    if too_few(count, alpha) or not math.isfinite(mean):
        return Interval.unknown(mean, count)
    error = math.sqrt((1 / count + test_over_train) * float(np.var(gains, ddof=1)))
    return student(mean, error, count, count - 1, alpha)
