"""Kinds of models, found by their name in YAML."""

from mlops_assets.lifecycle.tasks.base import Cases, Task
from mlops_assets.lifecycle.tasks.ranking import Ranking
from mlops_assets.lifecycle.tasks.tabular import (
    BinaryClassification,
    CountRegression,
    MulticlassClassification,
    Regression,
)

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

__all__ = ["TASKS", "Cases", "Task"]
