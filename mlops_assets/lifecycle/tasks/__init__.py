"""Kinds of models, found by their name in YAML."""

from mlops_assets.lifecycle.tasks.base import Answered, Cases, Task
from mlops_assets.lifecycle.tasks.binary_classification import BinaryClassification
from mlops_assets.lifecycle.tasks.count_regression import CountRegression
from mlops_assets.lifecycle.tasks.multiclass_classification import MulticlassClassification
from mlops_assets.lifecycle.tasks.ranking import Ranking
from mlops_assets.lifecycle.tasks.regression import Regression

TASKS: dict[str, Task] = {
    cls.name: cls()
    for cls in (
        BinaryClassification,
        MulticlassClassification,
        Regression,
        CountRegression,
        Ranking,
    )
}

__all__ = ["TASKS", "Answered", "Cases", "Task"]
