"""Live predictions: every answer keeps its row, and gets its own label or none."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.label_join import join_labels
from mlops_assets.lifecycle.live import complete_labels, live_predictions
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets.lifecycle.spec import ModelSpec

NOON = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
OWN = ["prediction_id", "version", "at", "unit", "answer"]


def live_frame(records, truth, spec, earlier=None):
    """The records with the labels that the feature frame tells."""
    return live_predictions(records, truth, spec, join_labels(records, truth, spec, earlier))


def spec(task="binary_classification", metric="average_precision", **columns) -> ModelSpec:
    declared = {"target": "is_fraud", "time": "at_time", "unit": "card", "key": ["id"]} | columns
    return ModelSpec(
        name="fraud",
        task=task,
        cadence="weekly",
        start="2026-01-05",
        source={"type": "csv", "path": "rows.csv"},
        columns=declared,
        estimator={"class": "sklearn.linear_model.LogisticRegression"},
        gate={"metric": metric, "margin": 0.01},
    )


def ranking() -> ModelSpec:
    roles = {"target": None, "time": "at_time", "unit": "user", "item": "product", "key": []}
    return spec("ranking", "ndcg_at_10", **roles)


def record(number, at=NOON, **changes) -> Record:
    made = Record(
        prediction_id=new_prediction_id(),
        model="fraud",
        version=3,
        run_id="run",
        unit=f"card-{number}",
        at=at,
        logged_at=NOON + HOUR,
        features={"amount": number + 0.5, "region": "north", "gap": None},
        key={"id": number},
        answer={"prediction": 1, "score": 0.75},
        latency_ms=1.5,
    )
    return replace(made, **changes)


def truth(numbers=(1, 2, 3), **changes):
    frame = pd.DataFrame(
        {
            "id": list(numbers),
            "at_time": pd.to_datetime([NOON] * len(numbers), utc=True),
            "card": [f"card-{n}" for n in numbers],
            "amount": 1.0,
            "region": "north",
            "gap": np.nan,
            "is_fraud": [n % 2 for n in numbers],
        }
    )
    return frame.assign(**changes)


def test_one_row_an_answer_with_its_label():
    records = [record(3), record(1), record(2), record(9), record(1)]
    live = live_frame(records, truth(), spec())
    assert list(live.columns) == [*OWN, "amount", "region", "gap", "prediction", "is_fraud"]
    assert list(live["prediction_id"]) == [r.prediction_id for r in records]
    np.testing.assert_array_equal(live["is_fraud"], [1, 1, 0, np.nan, 1])
    assert str(live["at"].dtype) == "datetime64[us, UTC]"
    assert live["version"].dtype == "int64"
    assert live["answer"][0] == '{"prediction":1,"score":0.75}'
    assert set(live["prediction"]) == {0.75}
    assert live["amount"][0] == 3.5


def test_survives_the_log_and_parquet(tmp_path):
    log = PredictionLog(tmp_path)
    log.append([record(n, NOON + n * HOUR) for n in (1, 2)])
    log.close()
    live = live_frame(log.read("fraud").records, truth(), spec())
    live.to_parquet(tmp_path / "live.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "live.parquet"), live)


@pytest.mark.parametrize("known", [None, truth()])
def test_no_records_keep_the_columns(known):
    live = live_frame([], known, spec())
    features = [] if known is None else ["amount", "region", "gap"]
    assert list(live.columns) == [*OWN, *features, "prediction", "is_fraud"]
    assert len(live) == 0
    assert str(live["at"].dtype) == "datetime64[us, UTC]"


def test_without_truth_no_label_is_known():
    assert live_frame([record(1)], None, spec())["is_fraud"].isna().all()


@pytest.mark.parametrize(
    ("ids", "asked"),
    [
        (pd.Series([1, 2, 3], dtype="int64"), [1, "2", 3]),
        (pd.Series([1, 2, 3], dtype="Int64"), [1, 2, "3"]),
        (pd.Series([1, 2, None], dtype="float64"), [1, 2, None]),
        (pd.Series(["a", "b", "c"], dtype="category"), ["a", "b", "c"]),
        (pd.Series(["a", "b", "c"], dtype="string"), ["a", "b", "c"]),
        (pd.Series([2**62 + 1, 2**62 + 2, 2**62 + 3]), [2**62 + 1, 2**62 + 2, 2**62 + 3]),
    ],
)
def test_keys_meet_whatever_their_dtype(ids, asked):
    records = [record(n, key={"id": key}) for n, key in zip((1, 2, 3), asked, strict=True)]
    live = live_frame(records, truth(id=ids), spec())
    expected = [1, 0, np.nan if asked[2] is None else 1]
    np.testing.assert_array_equal(live["is_fraud"].astype(float), expected)


@pytest.mark.parametrize("dtype", ["datetime64[ns, UTC]", "datetime64[us, UTC]", "datetime64[s]"])
def test_unit_and_time_are_a_key(dtype):
    second = NOON.replace(microsecond=0)
    known = truth(card=7, at_time=pd.to_datetime([second, second + HOUR, second + 2 * HOUR]))
    zone = known["at_time"] if "UTC" in dtype else known["at_time"].dt.tz_localize(None)
    records = [record(1, second + n * HOUR, unit="7", key={}) for n in (0, 1, 5)]
    live = live_frame(records, known.assign(at_time=zone.astype(dtype)), spec(key=[]))
    np.testing.assert_array_equal(live["is_fraud"], [1, 0, np.nan])


def test_time_in_the_key_is_the_event_time():
    live = live_frame([record(1)], truth(), spec(key=["id", "at_time"]))
    assert live["is_fraud"].tolist() == [1]


def test_two_labels_for_a_key_are_none():
    known = truth((1, 1, 2, 2), is_fraud=[0, 1, 1, 1])
    live = live_frame([record(1), record(2)], known, spec())
    np.testing.assert_array_equal(live["is_fraud"], [np.nan, 1])


def test_missing_key_joins_nothing():
    known = truth(id=pd.Series([None, 2, 3], dtype="Int64"))
    live = live_frame([record(1, key={})], known, spec())
    assert live["is_fraud"].isna().all()


def test_no_key_column_in_the_features_is_said():
    with pytest.raises(DeclarationError, match="the feature frame has no 'id'"):
        live_frame([record(1)], truth().drop(columns="id"), spec())


def test_feature_named_as_a_column_of_ours_is_refused():
    with pytest.raises(DeclarationError, match="'version'"):
        live_frame([record(1, features={"version": 2})], None, spec())


def test_feature_whose_type_changed_between_versions_is_text(tmp_path):
    records = [record(1, features={"band": 4}), record(2, features={"band": "4-6"})]
    live = live_frame(records, None, spec())
    assert live["band"].tolist() == ["4", "4-6"]
    live.to_parquet(tmp_path / "live.parquet")


def purchases(rows):
    frame = pd.DataFrame(rows, columns=["user", "product", "at_time"])
    return frame.assign(at_time=pd.to_datetime(frame["at_time"], utc=True))


def asked_by(unit, at=NOON):
    answer = {"prediction": ["5", "6"], "scores": [0.9, 0.1]}
    return record(1, at, unit=unit, features={"user": unit}, key={}, answer=answer)


def test_ranking_has_what_was_taken_up_later():
    known = purchases(
        [
            ("u", 5, NOON - HOUR),
            ("u", 5, NOON + HOUR),
            ("u", 6, NOON),
            ("u", 8, NOON + HOUR),
            ("u", 8, NOON + 2 * HOUR),
            ("u", 7, NOON + 3 * HOUR),
            ("w", 9, NOON + HOUR),
        ]
    )
    records = [asked_by("u"), asked_by("u", NOON + HOUR), asked_by("x")]
    live = live_frame(records, known, ranking())
    assert list(live.columns) == [*OWN, "user", "first_item", "first_score", "product"]
    assert live["product"].tolist() == [["7", "8"], ["7"], []]
    assert live["first_item"].tolist() == ["5"] * 3


def test_ranking_item_of_earlier_windows_is_no_news():
    known = purchases([("u", 7, NOON + HOUR), ("u", 8, NOON + HOUR)])
    earlier = purchases([("u", 7, NOON - 99 * HOUR)])
    live = live_frame([asked_by("u")], known, ranking(), earlier)
    assert live["product"].tolist() == [["8"]]


def test_ranking_without_truth_is_not_known():
    assert live_frame([asked_by("u")], None, ranking())["product"].tolist() == [None]
    assert list(live_frame([], None, ranking())) == [
        *OWN, "first_item", "first_score", "product"
    ]  # fmt: skip


@pytest.mark.parametrize("hours", [0, 23, 24, 49])
def test_labels_younger_than_their_delay_are_not_complete(hours):
    delayed = spec(label_delay="1d")
    records = [record(number, at=NOON + number * HOUR) for number in range(26)]
    truth = pd.DataFrame({"id": range(26), "is_fraud": [0, 1] * 13})
    live = live_frame(records, truth, delayed)
    found = complete_labels(live, delayed, NOON + hours * HOUR)
    known = max(0, min(26, hours - 24 + 1))
    assert found["is_fraud"].tolist()[:known] == ([0, 1] * 13)[:known]
    assert found["is_fraud"][known:].isna().all()
    assert live["is_fraud"].notna().all(), "what is known is kept"
    pd.testing.assert_frame_equal(
        found.drop(columns="is_fraud"), live.drop(columns="is_fraud"), check_exact=True
    )
