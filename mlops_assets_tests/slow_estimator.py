"""An estimator that can be made to wait in the middle of ``fit``, for tests that kill it."""

import os
import time
from pathlib import Path

from sklearn.linear_model import LogisticRegression


def waiting_logistic_regression(C: float = 1.0):
    """A logistic regression; while ``MLOPS_TEST_WAIT`` names a file, fitting waits for its end."""
    marker = os.environ.get("MLOPS_TEST_WAIT")
    if marker:
        Path(marker).touch()
        time.sleep(600)
    return LogisticRegression(C=C)
