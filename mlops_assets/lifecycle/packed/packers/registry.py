"""What can be packed, by the exact class of the estimator.

A subclass is not its parent: it may answer otherwise, so its name is looked for and not found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.outputs import BINARY, MULTICLASS, REGRESSIONS
from mlops_assets.lifecycle.packed.packers.columns import Columns
from mlops_assets.lifecycle.packed.plan import Option


@dataclass(frozen=True)
class Predictor:
    """The step that predicts, the columns that it reads, and what comes ``after`` it."""

    kind: str
    arrays: dict[str, np.ndarray]
    options: dict[str, Option]
    columns: Columns
    after: tuple[tuple[str, dict[str, np.ndarray], dict[str, Option]], ...] = ()


Transformation = Callable[[Any, Columns], Columns]
Prediction = Callable[[Any, Columns, str], Predictor]

TRANSFORMERS: dict[str, Transformation] = {}
PREDICTORS: dict[str, Prediction] = {}


def transformer(*classes: str) -> Callable[[Transformation], Transformation]:
    """Register what a preprocessing class does to columns."""

    def register(function: Transformation) -> Transformation:
        TRANSFORMERS.update(dict.fromkeys(classes, function))
        return function

    return register


def predictor(*classes: str) -> Callable[[Prediction], Prediction]:
    """Register how an estimator's class becomes a step, for a task."""

    def register(function: Prediction) -> Prediction:
        PREDICTORS.update(dict.fromkeys(classes, function))
        return function

    return register


def class_name(thing: Any) -> str:
    """The full name of an object's class."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def transform(step: Any, columns: Columns) -> Columns:
    """What a fitted transformer does to columns.

    Raises
    ------
    NotPackable
        When its class is not registered.
    """
    name = class_name(step)
    if name not in TRANSFORMERS:
        raise NotPackable(f"{name} can't be packed")
    return TRANSFORMERS[name](step, columns)


def predict(estimator: Any, columns: Columns, task: str) -> Predictor:
    """The last step of a fitted estimator.

    Raises
    ------
    NotPackable
        When its class is not registered.
    """
    name = class_name(estimator)
    if name not in PREDICTORS:
        raise NotPackable(f"{name} can't be packed")
    return PREDICTORS[name](estimator, columns, task)


def check_task(estimator: Any, task: str) -> None:
    """Refuse an estimator that does not answer what the task asks.

    Raises
    ------
    NotPackable
        For a task of another kind, or of another number of classes.
    """
    classes = getattr(estimator, "classes_", None)
    possible = REGRESSIONS if classes is None else (BINARY,) if len(classes) == 2 else (MULTICLASS,)
    if task not in possible:
        raise NotPackable(f"this {type(estimator).__name__} does not make a {task}")
