"""What a task is: how its frames become cases, and how an estimator answers them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.columns import Columns
    from mlops_assets.lifecycle.metrics import Metric

    Plot = Callable[["Cases", Mapping[str, np.ndarray]], Figure]


@dataclass(frozen=True)
class Cases:
    """What a model is asked and what was true, row by row.

    Parameters
    ----------
    asked : DataFrame or ndarray of shape (n_rows, ...)
        What goes into ``Task.scores``.
    truth : ndarray of shape (n_rows,)
    units : ndarray of shape (n_rows,)
        The unit of each row: rows of one unit are not independent.
    weights : ndarray of shape (n_rows,)
        What a row counts for; ones where no weight is declared.
    """

    asked: Any
    truth: "np.ndarray"
    units: "np.ndarray"
    weights: "np.ndarray"


@dataclass(frozen=True)
class Answered:
    """What was answered and what was true, row by row.

    Parameters
    ----------
    truth : ndarray of shape (n_rows,)
        As the metrics have it, see ``Task.scored_truth``.
    answers : list of dict, of length n_rows
    weights : ndarray of shape (n_rows,)
        What a row counts for; ones where no weight is declared.
    units : ndarray of shape (n_rows,) or None
        The unit of each row: rows of one unit are not independent. None: each is its own.
    """

    truth: "np.ndarray"
    answers: list[dict[str, Any]]
    weights: "np.ndarray"
    units: "np.ndarray | None" = None

    @property
    def clusters(self) -> "np.ndarray":
        """The unit of each row, where need be its own number."""
        import numpy as np

        return np.arange(len(self.truth)) if self.units is None else self.units

    def drawn(self, most: int) -> "Answered":
        """At most so many of the rows, the same each time."""
        return self.at(places(len(self.truth), most))

    def at(self, rows: "np.ndarray") -> "Answered":
        """The rows at these places."""
        units = None if self.units is None else self.units[rows]
        answers = [self.answers[n] for n in rows]
        return Answered(self.truth[rows], answers, self.weights[rows], units)


def places(size: int, most: int) -> "np.ndarray":
    """Places of at most ``most`` of ``size`` rows, in order, the same each time."""
    import numpy as np

    return np.sort(np.random.default_rng(0).permutation(size)[:most])


class Task(ABC):
    """A kind of model: what it is asked, what it answers, how it is scored."""

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    required_columns: ClassVar[tuple[str, ...]] = ("target",)
    tabular: ClassVar[bool] = True
    # Evidently's, by its name in ``evidently.presets``, and how many rows it is given at most.
    preset: ClassVar[str]
    preset_rows: ClassVar[int] = 20_000

    @abstractmethod
    def features(self, frame: "pd.DataFrame", columns: "Columns") -> list[str]:
        """Names of the columns the estimator sees."""

    @abstractmethod
    def fit(self, estimator, frame: "pd.DataFrame", columns: "Columns"):
        """Fit ``estimator`` on a feature frame and return it."""

    @abstractmethod
    def cases(
        self, hold_out: "pd.DataFrame", training: "pd.DataFrame", columns: "Columns"
    ) -> Cases:
        """The hold-out as cases; ``training`` is what the challenger has seen."""

    @abstractmethod
    def scores(self, estimator, asked) -> "np.ndarray":
        """What the metrics score, one entry a row."""

    @abstractmethod
    def answer_columns(self, estimator, asked) -> dict[str, list[Any]]:
        """What the REST server answers, field by field: in each, one JSON-able value a row."""

    def answers(self, estimator, asked) -> list[dict[str, Any]]:
        """The same, one mapping a row."""
        columns = self.answer_columns(estimator, asked)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    @abstractmethod
    def predicted(self, answers: list[dict[str, Any]]) -> "np.ndarray":
        """The entries of ``scores`` back from what was answered."""

    @abstractmethod
    def preset_frame(self, rows: Answered) -> "pd.DataFrame":
        """What ``preset`` reads: ``target``, ``prediction`` and what else it knows by name."""

    @abstractmethod
    def mistakes(self, rows: Answered) -> "tuple[str, np.ndarray]":
        """Which answers a person should look at first, for those who are called in the night.

        Returns
        -------
        title : str
        wrongness : ndarray of float, shape (n_rows,)
            Larger is worse; NaN where the answer is not one of those that the title names.
        """

    def scored_truth(self, labels: "np.ndarray", weights: "np.ndarray") -> "np.ndarray":
        """What the metrics hold the scores against, from labels as they are in the data."""
        return labels

    def monitored(self, answers: list[dict[str, Any]]) -> "pd.DataFrame":
        """Columns of the answers whose distribution is watched for drift."""
        import pandas as pd

        return pd.DataFrame({"prediction": [a.get("score", a["prediction"]) for a in answers]})

    def figures(self, cases: Cases, scored: "Mapping[str, np.ndarray]") -> "dict[str, Figure]":
        """What a person looks at to compare models.

        Parameters
        ----------
        cases : Cases
        scored : mapping of str to ndarray
            The ``scores`` of each model by its name, the challenger first.

        Returns
        -------
        dict of str to matplotlib.figure.Figure
            By title.
        """
        drawn = {title: draw(cases, scored) for title, draw in self.plots().items()}
        if len(scored) > 1:
            drawn |= {title: draw(cases, scored) for title, draw in self.paired_plots().items()}
        return drawn

    def estimator_figures(self, cases: Cases, estimator: Any) -> "dict[str, Figure]":
        """What takes the estimator itself to draw, by title."""
        return {}

    def plots(self) -> "dict[str, Plot]":
        """Functions that draw each model, by title."""
        return {}

    def paired_plots(self) -> "dict[str, Plot]":
        """Functions that draw the first model against the second, by title."""
        return {}

    def check_labels(self, truth: "np.ndarray") -> str | None:
        """Why these are no labels of the task, or None when they are; all may be alike."""
        return "no rows to judge on" if len(truth) == 0 else None

    def check_truth(self, truth: "np.ndarray") -> str | None:
        """Why these labels can't tell one model from another, or None when they can."""
        return self.check_labels(truth)

    def check_scored(self, truth: "np.ndarray", metric: "Metric") -> str | None:
        """Why a metric can't be told on these labels, or None when it can.

        A mean over rows is the same question on labels that are all alike; any other metric is
        not, and mostly has no answer.
        """
        from mlops_assets.lifecycle.metrics import RowMetric

        alike = isinstance(metric, RowMetric)
        return self.check_labels(truth) if alike else self.check_truth(truth)
