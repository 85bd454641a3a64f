"""A model that takes its time."""

import time

import numpy as np


class Slow:
    """Answers a second later."""

    def predict(self, frame):
        """Zeros of shape (n_rows,)."""
        time.sleep(1)
        return np.zeros(len(frame))
