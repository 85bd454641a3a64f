"""An estimator as scikit-learn's inspection takes it: its answer is what the task scores."""

from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin

from mlops_assets.lifecycle.tasks import Task


class Scored(RegressorMixin, BaseEstimator):
    """A fitted estimator of any task whose ``predict`` gives the task's scores."""

    def __init__(self, task: Task, estimator: Any):
        self.task = task
        self.estimator = estimator

    def fit(self, *_):
        """It is fitted already."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, asked: pd.DataFrame):
        """The scores, shape (n_rows,) or (n_rows, n_classes)."""
        return self.task.scores(self.estimator, asked)
