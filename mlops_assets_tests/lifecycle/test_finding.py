"""Finding a prediction by its id, wherever the compactor has moved it."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.prediction_log import PredictionLog, new_prediction_id
from mlops_assets.lifecycle.prediction_log.batch import row_ids
from mlops_assets.lifecycle.prediction_log.compaction import compact
from mlops_assets.lifecycle.prediction_log.finding import find, request_of
from mlops_assets.lifecycle.prediction_log.reading import default_database
from mlops_assets.lifecycle.prediction_log.store import LogStore
from mlops_assets.lifecycle.rescoring import differences
from mlops_assets_tests.lifecycle.test_prediction_log import record


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path)
    yield log
    log.close()


def answered(model="fraud", rows=3, **changes):
    """One request's records."""
    now, ids = datetime.now(UTC), row_ids(new_prediction_id(), rows)
    return [record(now, prediction_id=i, model=model, logged_at=now, **changes) for i in ids]


def moved(log):
    """Everything is moved into the database, and its segments are gone."""
    store = LogStore(default_database(log.folder))
    log.close()
    compact(log, store, now=datetime.now(UTC) + timedelta(days=9))
    store.close()
    assert not list(log.folder.glob("*/*.log"))


def test_a_prediction_is_found_among_all_models_before_and_after_compaction(log):
    old, iris = answered("fraud"), answered("iris")
    log.append(old)
    log.append(iris)
    for _ in range(2):
        for wanted in (*old, *iris):
            assert find(log, wanted.prediction_id) == wanted
        assert request_of(log, old[1]) == old
        moved(log)
    new = answered("fraud")
    log.append(new)
    assert find(log, new[0].prediction_id) == new[0]
    assert find(log, old[0].prediction_id) == old[0]
    assert request_of(log, new[2]) == new, "and of no other request"
    with pytest.raises(EvidenceError, match=r"no prediction .* \(models: iris\) nor in sqlite"):
        find(log, new[0].prediction_id, "iris")


def test_the_rows_of_a_request_come_in_their_order(log):
    many, one = answered(rows=11), answered(rows=1)
    log.append(many[::-1] + one)
    assert request_of(log, many[3]) == many
    assert request_of(log, one[0]) == one


def test_an_id_that_stands_twice_with_different_content_is_refused(log):
    (one,) = answered(rows=1)
    other = record(one.at, prediction_id=one.prediction_id, logged_at=one.logged_at, unit="x")
    log.append([one, one])
    assert find(log, one.prediction_id) == one
    log.append([other])
    with pytest.raises(EvidenceError, match="3 predictions have the id"):
        find(log, one.prediction_id)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"score": 0.1}, {"score": 0.1 + 2**-56}),
        ({"score": 0.0}, {"score": -0.0}),
        ({"score": 1.0}, {"score": 1}),
        ({"scores": [0.5, 0.25]}, {"scores": [0.5, 0.25, 0.25]}),
        ({"prediction": ["a", "b"]}, {"prediction": ["b", "a"]}),
        ({"prediction": 1}, {}),
    ],
)
def test_one_bit_is_a_difference(then, now):
    ((said),) = differences(then, now)
    assert "was answered" in said
    assert differences(then, then) == ()
