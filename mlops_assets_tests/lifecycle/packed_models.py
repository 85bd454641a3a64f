"""Frames, fitted estimators and packing for the tests of packed arrays."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import OneHotEncoder

from mlops_assets.lifecycle.artifact import Feature
from mlops_assets.lifecycle.packed.model import PackedModel
from mlops_assets.lifecycle.packed.packers import pack
from mlops_assets.lifecycle.tasks import TASKS

BINARY, MULTICLASS = "binary_classification", "multiclass_classification"
REGRESSION, COUNTS = "regression", "count_regression"
WHOLE = ["age", "children", "home"]
NUMBERS = [*WHOLE, "income"]
ALL = [*NUMBERS, "region", "plan"]


def people(seed: int, n: int = 800) -> pd.DataFrame:
    """Simulated customers: numbers, some missing; whole numbers, a truth value, and text."""
    random = np.random.default_rng(seed)
    income = random.lognormal(3, 1, n)
    shares = np.array([40, 20, 15, 10, 8, 4, 2, 1]) / 100
    return pd.DataFrame(
        {
            "age": random.normal(40, 12, n),
            "children": random.integers(0, 6, n),
            "home": random.random(n) < 0.5,
            "income": np.where(random.random(n) < 0.1, np.nan, income),
            "region": random.choice(list("abcdefgh"), n, p=shares),
            "plan": random.choice(["x", "y", "z\u00fc"], n),
        }
    )


def target(frame: pd.DataFrame, task: str, classes: int = 3) -> np.ndarray:
    """A target that depends on the features, of the kind that the task needs."""
    noise = np.random.default_rng(9).normal(0, 0.5, len(frame))
    score = frame["age"] / 40 + 0.3 * frame["children"] + (frame["region"] == "a") + noise
    if task == BINARY:
        return (score > score.median()).to_numpy(int)
    if task == MULTICLASS:
        return pd.qcut(score, classes, labels=False).to_numpy(int)
    # Positive, which the Gamma loss needs; whole, which counts are.
    return (1 + np.round(score.clip(lower=0))).to_numpy() if task == COUNTS else score.to_numpy()


def features_of(frame: pd.DataFrame) -> list[Feature]:
    """The frame's columns as ``serving.json`` lists them."""
    return [Feature(name=str(name), dtype=str(frame[name].dtype)) for name in frame.columns]


def packed(estimator, frame: pd.DataFrame, task: str, folder: Path) -> PackedModel:
    """Pack a fitted estimator and load what came of it."""
    pack(estimator, features_of(frame), task, folder)
    return PackedModel.load(folder)


def values_of(frame: pd.DataFrame) -> list[list]:
    """Rows as JSON would hold them: null where a value is missing."""
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


def asked_alone(estimator, frame: pd.DataFrame, task: str) -> np.ndarray:
    """The estimator's answers, one call a row."""
    scores = TASKS[task].scores
    return np.array([scores(estimator, frame.iloc[[row]])[0] for row in range(len(frame))])


def bits(scores: np.ndarray) -> list:
    """Floats as whole numbers, equal only where every bit is."""
    return np.ascontiguousarray(scores, dtype=np.float64).view(np.int64).tolist()


def encoded():
    """What ``lifecycle.training`` puts in front of an estimator that gets text."""
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=5, sparse_output=False
    )
    return make_column_transformer(
        (encoder, ["region", "plan"]), remainder="passthrough", verbose_feature_names_out=False
    )
