"""Rows that were asked together are one line of the log, and one record each to who reads it."""

import json
from datetime import timedelta

import msgspec
import pytest

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.prediction_log.batch import (
    Batch,
    decode_batch,
    encode_batch,
    packed,
    row_ids,
)
from mlops_assets.lifecycle.prediction_log.compaction import compact
from mlops_assets.lifecycle.prediction_log.reading import default_database
from mlops_assets.lifecycle.prediction_log.store import LogStore
from mlops_assets_tests.lifecycle.test_prediction_log import HOUR, NOON, segments

NAMES = ["amount", "region"]
FULL = {
    "units": ["card-1", None, "s\udc00d"],
    "at": [NOON, None, NOON + HOUR],
    "keys": [{"transaction_id": n} for n in range(3)],
}


def batch(**changes) -> Batch:
    ids = row_ids("a" * 32, 3)
    fields = {
        "rows": 3,
        "prediction_id": "a" * 32,
        "model": "fraud",
        "version": 3,
        "run_id": "run",
        "variant": "canary",
        "status": 200,
        "latency_ms": 1.5,
        "logged_at": NOON + 2 * HOUR,
        "names": NAMES,
        "values": [(0.1 + 0.2, "süd\n"), (None, "null"), (3.0, "")],
        "answers": [{"score": n / 7, "prediction_id": i} for n, i in enumerate(ids)],
    }
    return Batch(**{**fields, **changes})


def document(made: Batch) -> bytes:
    return encode_batch(made, msgspec.json.encode(made.answers))


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path)
    yield log
    log.close()


@pytest.fixture
def store(tmp_path):
    store = LogStore(default_database(tmp_path))
    yield store
    store.close()


@pytest.mark.parametrize("columns", [{}, FULL], ids=["bare", "full"])
def test_each_row_is_read_back_as_a_record(log, columns):
    log.append_documents("fraud", [document(made := batch(**columns))])
    found = sorted(log.read("fraud").records, key=lambda record: record.prediction_id)
    assert [r.prediction_id for r in found] == [f"{'a' * 32}-{n}" for n in range(3)]
    assert [r.features for r in found] == [dict(zip(NAMES, v, strict=True)) for v in made.values]
    assert [r.answer for r in found] == [{"score": n / 7} for n in range(3)]
    assert [r.unit for r in found] == (made.units or [None] * 3)
    assert [r.key for r in found] == (made.keys or [{}] * 3)
    noon = [NOON, made.logged_at, NOON + HOUR] if made.at else [made.logged_at] * 3
    assert [r.at for r in found] == noon
    assert {(r.variant, r.status, r.latency_ms) for r in found} == {("canary", 200, 1.5)}


@pytest.mark.parametrize("columns", [{}, FULL], ids=["bare", "full"])
def test_compacted_rows_are_the_same_and_there_once(log, store, columns):
    log.append_documents("fraud", [document(batch(**columns))] * 2)
    before = log.read("fraud").records
    assert compact(log, store, now=NOON, batch=4).rows == 6
    assert compact(log, store, now=NOON).rows == 0
    assert log.read("fraud").records == before
    log.close()
    compact(log, store, now=NOON + timedelta(days=10_000))
    assert segments(log) == []
    assert log.read("fraud").records == before
    assert len(log.read("fraud", NOON, NOON + HOUR).records) == (2 if columns else 0)


@pytest.mark.parametrize("columns", [{}, FULL], ids=["bare", "full"])
def test_values_in_one_list_and_answers_by_field_are_the_same_records(log, columns):
    by_row, made = batch(**columns), batch(**columns)
    flat = [value for row in made.values for value in row]
    by_field = {"score": [answer["score"] for answer in made.answers]}
    log.append_documents("fraud", [document(by_row)])
    expected = log.read("fraud").records
    log.append_documents("fraud", [document(batch(values=flat, answers=by_field, **columns))])
    assert log.read("fraud").records == sorted(
        expected * 2, key=lambda record: (record.at, record.prediction_id)
    )
    with pytest.raises(ValueError, match="nan"):
        document(batch(values=[*flat[:-2], float("nan"), ""], answers=by_field))


def test_requests_of_one_tick_are_told_apart(log):
    ids = ["a" * 32, "b" * 32]
    made = batch(prediction_id=ids, latency_ms=[1.5, 2.5], counts=[1, 2], **FULL)
    log.append_documents("fraud", [document(made)])
    found = {record.prediction_id: record for record in log.read("fraud").records}
    assert sorted(found) == [ids[0], f"{ids[1]}-0", f"{ids[1]}-1"]
    assert [found[name].latency_ms for name in sorted(found)] == [1.5, 2.5, 2.5]
    assert found[ids[0]].key == {"transaction_id": 0}
    assert found[f"{ids[1]}-1"].features == {"amount": 3.0, "region": ""}


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": [1, 1]},
        {"counts": [3]},
        {"counts": None},
        {"latency_ms": 1.5},
        {"prediction_id": "a" * 32},
    ],
)
def test_requests_that_do_not_add_up_are_no_document(wrong):
    requests = {"prediction_id": ["a" * 32, "b" * 32], "latency_ms": [1.5, 2.5], "counts": [1, 2]}
    with pytest.raises(ValueError, match=r"requests|zip"):
        decode_batch(document(batch(**{**requests, **wrong})))


@pytest.mark.parametrize("unit", ["card-1", "s\udc00d"])
def test_numbers_are_read_back_to_the_bit(log, unit):
    numbers = [0.1 + 0.2, None, -0.0, 5e-324, 1.7976931348623157e308, 3.0]
    made = batch(names=["x", "y"], values=[], numbers=packed(numbers), units=[unit] * 3)
    line = document(made)
    assert line.isascii()
    log.append_documents("fraud", [line])
    found = [value for record in log.read("fraud").records for value in record.features.values()]
    assert list(map(repr, found)) == list(map(repr, numbers))
    assert {record.unit for record in log.read("fraud").records} == {unit}


def test_an_infinite_number_is_refused():
    with pytest.raises(ValueError, match="infinite"):
        packed([1.0, float("inf")])


def test_rows_that_could_not_be_answered_have_empty_answers(log):
    log.append_documents("fraud", [document(batch(answers={}, status=500))])
    found = log.read("fraud").records
    assert [record.answer for record in found] == [{}, {}, {}]
    assert all(record.failed for record in found)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="nan"):
        document(batch(values=[(float("nan"), "a"), (1.0, "b"), (2.0, "c")]))
    with pytest.raises(ValueError, match="inf"):
        document(batch(latency_ms=float("inf")))


def test_a_cut_line_is_none_of_its_rows_and_a_changed_one_is_told(log):
    log.append_documents("fraud", [document(batch())])
    log.close()
    (file,) = segments(log)
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    assert (log.read("fraud").records, log.read("fraud").torn) == ([], 1)
    file.write_bytes(whole.replace(b'"version":3', b'"version":4'))
    with pytest.raises(EvidenceError, match="line 1: damaged"):
        log.read("fraud")


def test_a_line_is_json_in_ascii():
    made = json.loads(document(batch(**FULL)).decode("ascii"))
    assert made["rows"] == 3
    assert made["units"][2] == "s\udc00d"
