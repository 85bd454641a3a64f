"""Models that take their time."""

import threading
import time

import numpy as np


class Slow:
    """Answers a second later."""

    def predict(self, frame):
        """Zeros of shape (n_rows,)."""
        time.sleep(1)
        return np.zeros(len(frame))


class Gated:
    """Answers once `GATE` is open; has `BEGUN` when it is asked first."""

    def predict(self, frame):
        """Zeros of shape (n_rows,)."""
        BEGUN.set()
        GATE.wait(60)
        return np.zeros(len(frame))


BEGUN, GATE = threading.Event(), threading.Event()
