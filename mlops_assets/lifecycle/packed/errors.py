"""What can go wrong with packed arrays, beside a file that is not what it should be."""

from mlops_assets.lifecycle.errors import LifecycleError


class NotPackable(LifecycleError):
    """An estimator can't be served from arrays; the message names what is in the way."""


class RowRefused(LifecycleError, ValueError):
    """A row that the estimator itself would refuse: missing or too large a number.

    Parameters
    ----------
    row : int
        Which of the rows asked, from 0.
    """

    def __init__(self, row: int, reason: str):
        super().__init__(f"row {row}: {reason}")
        self.row = row
