"""Models that take their time, or their ease."""

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


class Short:
    """Answers nothing to 1000, and an object of its own to -1000."""

    def predict(self, frame):
        """Zeros of shape (n_rows,) to all other rows."""
        first = np.asarray(frame)[0, 0]
        if first == -1000:
            return np.array([object()])
        return np.zeros(0 if first == 1000 else len(frame))


BEGUN, GATE = threading.Event(), threading.Event()
