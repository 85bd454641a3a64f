"""When an estimator is asked with an array, it answers what it answers to a frame."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_assets.lifecycle.artifact import Feature, Serving
from mlops_assets.lifecycle.tasks import TASKS
from mlops_assets.serving.arrays import batches_alike, for_arrays, matrix
from mlops_assets.serving.payload import RecordReader

TASK = TASKS["binary_classification"]


def frame_of(dtypes):
    random = np.random.default_rng(0)
    return pd.DataFrame({n: random.uniform(0, 9, 300) for n in dtypes}).astype(dtypes)


def reader_of(dtypes):
    return RecordReader(
        Serving(
            model="m",
            task=TASK.name,
            features=[Feature(name=n, dtype=d) for n, d in dtypes.items()],
            unit=None,
            time=None,
            key=[],
        )
    )


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=5),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_arrays_give_the_same_bits_and_no_warning(estimator):
    dtypes = {"a": "float64", "b": "int64"}
    frame, reader = frame_of(dtypes), reader_of(dtypes)
    estimator.fit(frame, frame["a"] > 4)
    rows = reader.rows(frame.to_dict("records")).values
    nameless = for_arrays(estimator, TASK, reader, rows[:2])
    assert nameless is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = TASK.answers(nameless, matrix(rows))
    assert answers == TASK.answers(estimator, frame)
    # The estimator itself still knows its columns.
    assert list(estimator.feature_names_in_) == ["a", "b"]


@pytest.mark.parametrize(
    ("estimator", "alike"),
    [
        (LogisticRegression(), False),
        (HistGradientBoostingClassifier(max_iter=5), True),
        (RandomForestClassifier(5, random_state=0), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_rounds_alike_is_scored_together(estimator, alike):
    dtypes = dict.fromkeys("abcdefgh", "float64")
    frame, reader = frame_of(dtypes), reader_of(dtypes)
    estimator.fit(frame.to_numpy(), frame["a"] + frame["b"] > 9)
    rows = reader.rows(frame[:2].to_dict("records")).values
    assert batches_alike(lambda asked: TASK.answers(estimator, matrix(asked)), rows) == alike


def test_columns_selected_by_name_need_a_frame():
    dtypes = {"a": "float64", "b": "float64"}
    frame, reader = frame_of(dtypes), reader_of(dtypes)
    scaled = make_column_transformer((StandardScaler(), ["b"]), remainder="passthrough")
    estimator = make_pipeline(scaled, LogisticRegression()).fit(frame, frame["a"] > 4)
    rows = reader.rows(frame[:2].to_dict("records")).values
    assert for_arrays(estimator, TASK, reader, rows) is None


class Warns(LogisticRegression):
    """Warns of arrays, and goes on."""

    went_on = False

    def predict_proba(self, X):
        if not hasattr(X, "columns"):
            warnings.warn("no names", UserWarning, stacklevel=2)
            type(self).went_on = True
        return super().predict_proba(X)


def test_what_warns_of_arrays_needs_a_frame_and_nobody_elses_warning_becomes_an_error():
    dtypes = {"a": "float64", "b": "float64"}
    frame, reader = frame_of(dtypes), reader_of(dtypes)
    estimator = Warns().fit(frame.to_numpy(), frame["a"] > 4)
    rows = reader.rows(frame[:2].to_dict("records")).values
    assert for_arrays(estimator, TASK, reader, rows) is None
    assert Warns.went_on


@pytest.mark.parametrize(
    "dtypes", [{"a": "float32", "b": "float64"}, {"a": "int64"}, {"a": "Float64", "b": "float64"}]
)
def test_other_precisions_need_a_frame(dtypes):
    frame, reader = frame_of(dtypes), reader_of(dtypes)
    estimator = LogisticRegression().fit(frame, frame["a"] > 4)
    rows = reader.rows(frame[:2].to_dict("records")).values
    assert for_arrays(estimator, TASK, reader, rows) is None
