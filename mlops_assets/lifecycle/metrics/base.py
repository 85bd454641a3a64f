"""What a metric is: a number for predictions against the truth, under any weights of the rows.

There are three kinds, by what is enough to know of a sample:

- :class:`RowMetric`: a weighted mean of a score per row (for rankings: per unit), so that two
  models can be compared row by row;
- :class:`SumMetric`: a function of a few weighted sums over rows (RMSE, F1, actual over
  expected), which a bootstrap over units needs only the sums of;
- any other :class:`Metric` is a function of the whole sample (AUC).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

    Resampled = Callable[["np.ndarray"], "np.ndarray"]


class Metric(ABC):
    """A score of predictions against the truth.

    ``weighted`` is the metric under several weightings of the rows at once, which is what a
    bootstrap needs. It depends on the proportions of the weights only. A metric that is not
    ``comparable`` is best at some value in between: it describes, and can't decide.
    """

    name: ClassVar[str]
    greater_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    comparable: ClassVar[bool] = True

    @property
    def sign(self) -> int:
        """+1 where greater is better, else -1."""
        return 1 if self.greater_is_better else -1

    def value(self, truth, predicted, weights: "np.ndarray | None" = None) -> float:
        """The metric on these rows; ``weights`` of shape (n_rows,) are ones where not given."""
        import numpy as np

        rows = np.ones(len(truth)) if weights is None else np.asarray(weights, float)
        return float(self.weighted(truth, predicted, rows[None, :])[0])

    @abstractmethod
    def weighted(self, truth, predicted, weights: "np.ndarray") -> "np.ndarray":
        """The metric for each of ``weights``, shape (n_draws, n_rows), as shape (n_draws,)."""

    def resampled(
        self, truth, predicted, weights: "np.ndarray", cluster: "np.ndarray", count: int
    ) -> "Resampled":
        """The metric as a function of how often each unit was drawn.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,)
        cluster : ndarray of int, shape (n_rows,)
            The unit of each row, 0 to ``count`` - 1.
        count : int

        Returns
        -------
        callable
            From counts, uint8 of shape (n_draws, count), to the metric's values, (n_draws,).
        """
        return lambda counts: self.weighted(truth, predicted, counts[:, cluster] * weights)


class SumMetric(Metric):
    """A metric that is a function of weighted sums over rows."""

    @abstractmethod
    def parts(self, truth, predicted) -> "np.ndarray":
        """What is summed, of shape (n_rows, n_parts)."""

    @abstractmethod
    def of_sums(self, sums: "np.ndarray") -> "np.ndarray":
        """The metric from weighted sums of the parts, (n_draws, n_parts) to (n_draws,)."""

    def weighted(self, truth, predicted, weights):
        return self.of_sums(weights @ self.parts(truth, predicted))

    def resampled(self, truth, predicted, weights, cluster, count):
        import numpy as np

        parts = self.parts(truth, predicted) * weights[:, None]
        sums = np.column_stack([np.bincount(cluster, part, count) for part in parts.T])
        return lambda counts: self.of_sums(counts.astype(float) @ sums)


class RowMetric(SumMetric):
    """A metric that is the mean of a score per row.

    Scores that are not ``continuous`` take a few values, so that many rows' gains are ties.
    """

    continuous: ClassVar[bool] = True

    @abstractmethod
    def rows(self, truth, predicted) -> "np.ndarray":
        """The score of each row, shape (n_rows,)."""

    def parts(self, truth, predicted):
        import numpy as np

        scores = self.rows(truth, predicted)
        return np.column_stack([scores, np.ones(len(scores))])

    def of_sums(self, sums):
        return divide(sums[:, 0], sums[:, 1])


def divide(numerator, denominator) -> "np.ndarray":
    """A ratio that is NaN, without a warning, where nothing was drawn."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)
