"""Which label an answer gets when several sources know one."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.ground_truth import Feedback, place_of
from mlops_assets.lifecycle.label_join import join_labels
from mlops_assets.lifecycle.live import live_predictions
from mlops_assets_tests.lifecycle.test_live import (
    HOUR,
    NOON,
    asked_by,
    purchases,
    ranking,
    record,
    spec,
    truth,
)


def batch(numbers, labels, **changes):
    frame = pd.DataFrame({"id": list(numbers), "is_fraud": list(labels)})
    return frame.assign(at_time=pd.to_datetime([NOON] * len(frame), utc=True), **changes)


def test_sources_are_asked_in_order():
    records = [record(n) for n in range(1, 6)]
    feedback = Feedback(
        {records[0].prediction_id: 10},
        {place_of(records[0]): 20, place_of(records[1]): 20},
    )
    joined = join_labels(
        records,
        truth((1, 2, 3, 4), is_fraud=[40] * 4),
        spec("regression", "mean_squared_error"),
        feedback=feedback,
        batch=batch((1, 2, 3), [30] * 3),
    )
    np.testing.assert_array_equal(joined.values, [10, 20, 30, 40, np.nan])
    assert list(joined.by_source.values()) == [1, 1, 1, 1]
    assert joined.conflicts == 0
    assert joined.values.dtype == "float64"


@pytest.mark.parametrize("level", range(4))
def test_source_that_contradicts_itself_leads_to_none_and_is_counted(level):
    one, other = record(1), record(2)
    twice = {"is_fraud": [0, 1, 1]}
    everywhere = [
        Feedback({one.prediction_id: None}, {place_of(one): 1}),
        Feedback({}, {place_of(one): None}),
    ]
    joined = join_labels(
        [one, other],
        truth((1, 1, 2), **twice if level == 3 else {"is_fraud": [1, 1, 1]}),
        spec(),
        feedback=everywhere[level] if level < 2 else None,
        batch=batch((1, 1, 2), [0, 1, 1]) if level == 2 else None,
    )
    np.testing.assert_array_equal(joined.values, [np.nan, 1])
    assert joined.conflicts == 1


def test_label_of_a_source_before_settles_a_contradiction_of_one_after():
    one = record(1)
    joined = join_labels(
        [one],
        truth((1, 1), is_fraud=[0, 1]),
        spec(),
        feedback=Feedback({one.prediction_id: 1}),
    )
    assert joined.values.tolist() == [1]
    assert joined.conflicts == 0


def test_batch_by_prediction_id_and_without_a_label_yet():
    records = [record(n) for n in (1, 2, 3)]
    ids = [r.prediction_id for r in records]
    frame = batch((7, 8, 9), [1, None, 0], prediction_id=ids)
    joined = join_labels(records, truth(is_fraud=[5, 5, 5]), spec(), batch=frame)
    assert joined.values.tolist() == [1, 5, 0]


def test_batch_by_unit_and_time():
    records = [record(n, NOON + n * HOUR, key={}) for n in (1, 2)]
    frame = pd.DataFrame(
        {"card": ["card-1", "card-2"], "at_time": [NOON + HOUR] * 2, "is_fraud": [1, 1]}
    )
    frame["at_time"] = pd.to_datetime(frame["at_time"], utc=True)
    joined = join_labels(records, None, spec(key=[]), batch=frame)
    np.testing.assert_array_equal(joined.values, [1, np.nan])


def test_batch_without_its_columns_is_told():
    frame = batch((1,), [1])
    with pytest.raises(DeclarationError, match="the batch source of labels has no 'id'"):
        join_labels([record(1)], None, spec(), batch=frame.drop(columns="id"))
    with pytest.raises(DeclarationError, match="the batch source of labels has no 'is_fraud'"):
        join_labels([record(1)], None, spec(), batch=frame.drop(columns="is_fraud"))


def test_live_predictions_carry_the_joined_labels(tmp_path):
    records = [record(n) for n in (1, 2)]
    joined = join_labels(
        records, truth(), spec(), feedback=Feedback({records[0].prediction_id: 0.0})
    )
    live = live_predictions(records, truth(), spec(), joined)
    assert live["is_fraud"].tolist() == [0, 0]
    live.to_parquet(tmp_path / "live.parquet")


# --- rankings ---------------------------------------------------------------------------------


def test_ranking_feedback_is_what_was_taken_up():
    records = [asked_by("u"), asked_by("v"), asked_by("w")]
    known = purchases([("u", 5, NOON + HOUR), ("w", 6, NOON + HOUR)])
    feedback = Feedback({records[0].prediction_id: ("9",)}, {place_of(records[1]): ()})
    joined = join_labels(records, known, ranking(), feedback=feedback)
    assert joined.values.tolist() == [["9"], [], ["6"]]


def test_ranking_batch_of_interactions_counts_as_the_features_do():
    records = [asked_by("u"), asked_by("v")]
    known = purchases([("u", 5, NOON + HOUR)])
    late = purchases([("u", 6, NOON + HOUR), ("v", 7, NOON + HOUR), ("v", 8, NOON - HOUR)])
    joined = join_labels(records, known, ranking(), batch=late)
    assert joined.values.tolist() == [["5", "6"], ["7"]]


def test_ranking_batch_by_prediction_id():
    records = [asked_by("u"), asked_by("v")]
    frame = pd.DataFrame({"prediction_id": [records[0].prediction_id] * 2, "product": [8, 7]})
    assert join_labels(records, None, ranking(), batch=frame).values.tolist() == [["7", "8"], None]
    with pytest.raises(DeclarationError, match="no 'product'"):
        join_labels(records, None, ranking(), batch=frame[["prediction_id"]])


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (spec(), 7),
        (spec(), ("1",)),
        (spec("multiclass_classification", "log_loss"), 0.5),
        (spec("count_regression", "mean_poisson_deviance"), -1),
        (ranking(), 1),
    ],
)
def test_label_that_the_task_can_not_have_is_none_and_counted(declared, value):
    one = asked_by("u")
    feedback = Feedback({one.prediction_id: value}, {place_of(one): 1})
    joined = join_labels([one], None, declared, feedback=feedback)
    assert joined.values.isna().all()
    assert joined.conflicts == 1
