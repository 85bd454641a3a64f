"""Ground truth: every label is kept, and the newest holds."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets import cli
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.ground_truth import FeedbackLog, Label, label_from
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.prediction_log.compaction import compact
from mlops_assets.lifecycle.prediction_log.reading import default_database
from mlops_assets.lifecycle.prediction_log.store import LogStore
from mlops_assets_tests.lifecycle.test_prediction_log import HOUR, NOON, record

IDS = [f"{number:032x}" for number in range(5)]
TOMORROW = datetime.now(UTC) + timedelta(days=2)


def label(value=1, at_hour=0, **changes) -> Label:
    named = {} if "unit" in changes else {"prediction_id": IDS[0]}
    return Label("fraud", value, NOON + at_hour * HOUR, **named | changes)


@pytest.fixture(params=["segments", "database", "both"])
def move(request, tmp_path):
    """What happens to the labels between being logged and being asked for."""
    store = LogStore(default_database(tmp_path))

    def moved(log, last=True):
        if request.param == "database" or (request.param == "both" and not last):
            log.close()
            compact(log, store, now=TOMORROW)
            assert not list(log.folder.glob("fraud/*.log"))

    yield moved
    store.close()


@pytest.fixture
def log(tmp_path):
    log = FeedbackLog(tmp_path)
    yield log
    log.close()


def test_labels_are_found_by_id_and_by_unit_and_time(log, move):
    log.append([label(1), label(0.5, unit="card-1", at=NOON + HOUR)])
    move(log, last=False)
    log.append([label(("7", "8"), prediction_id=IDS[1], observed_at=NOON, source="shop")])
    move(log)
    asked = [record(prediction_id=IDS[0]), record(NOON + HOUR), record(prediction_id=IDS[1])]
    known = log.known("fraud", asked)
    assert known.by_prediction == {IDS[0]: 1, IDS[1]: ("7", "8")}
    (place,) = known.by_place
    assert place[0] == "card-1"
    assert known.by_place[place] == 0.5
    assert log.known("fraud", [record(prediction_id=IDS[4], unit="card-2")]).by_prediction == {}
    assert log.known("fraud", []).by_prediction == {}
    assert log.known("pricing", asked).by_prediction == {}


def test_newest_label_holds_in_whatever_order_they_come_and_history_is_kept(log, move):
    late = [label(3, at_hour=3), label(1, at_hour=1)]
    log.append(late)
    move(log, last=False)
    log.append([label(2, at_hour=2)])
    move(log)
    assert log.known("fraud", [record(prediction_id=IDS[0])]).by_prediction == {IDS[0]: 3}
    assert [label.value for label in log.history("fraud")] == [1, 2, 3]
    assert log.history("fraud")[2] == late[0]


def test_two_labels_of_one_moment_lead_to_none_until_a_newer_one_comes(log, move):
    log.append([label(0), label(1), label(1, prediction_id=IDS[1]), label(1, prediction_id=IDS[1])])
    move(log, last=False)
    log.append([label(9, at_hour=-1)])
    move(log)
    asked = [record(prediction_id=i) for i in IDS[:2]]
    assert log.known("fraud", asked).by_prediction == {IDS[0]: None, IDS[1]: 1}
    log.append([label(0, at_hour=1)])
    assert log.known("fraud", asked).by_prediction == {IDS[0]: 0, IDS[1]: 1}


@pytest.mark.parametrize("odd", ["süd\0", "x" * 5000, "\ud800", "\\N", "é"])
def test_ids_and_units_of_any_text_meet(log, move, odd):
    log.append([label(1, prediction_id=odd), label(0, unit=odd, at=NOON)])
    log.append([label(2, prediction_id="z"), label(2, prediction_id="0")])
    log.append([label(5, prediction_id=odd + "!"), label(5, unit=odd + "!", at=NOON)])
    move(log)
    asked = [record(prediction_id=odd, unit=odd), record(), record(prediction_id="z")]
    known = log.known("fraud", asked)
    assert known.by_prediction == {odd: 1, "z": 2}
    assert list(known.by_place.values()) == [0]


def test_labels_lie_beside_the_predictions_and_mix_with_none(tmp_path, log, move):
    predictions = PredictionLog(tmp_path)
    one = record()
    predictions.append([one])
    log.append([label(prediction_id=one.prediction_id)])
    compact(predictions, LogStore(default_database(tmp_path)), now=TOMORROW)
    move(log)
    assert predictions.read("fraud").records == [one]
    assert [label.value for label in log.history("fraud")] == [1]
    predictions.close()


def test_damaged_label_names_file_and_line(log):
    log.append([label(), label()])
    (file,) = log.folder.glob("fraud/*.log")
    file.write_bytes(file.read_bytes().replace(b'"value":1', b'"value":0'))
    with pytest.raises(EvidenceError, match=f"{file.name}, line 1: damaged"):
        log.history("fraud")


# --- what a client may send -------------------------------------------------------------------


def made(**fields) -> Label:
    return label_from("fraud", fields, logged_at=NOON, source="test")


def test_label_from_the_types_of_json():
    by_id = made(prediction_id="p", value=1, unit=None, observed_at="2026-01-05T13:00:00+01:00")
    assert by_id == Label("fraud", 1, NOON, "p", observed_at=NOON, source="test")
    assert by_id.observed_at == NOON
    by_place = made(unit=7, at="2026-01-05T12:00:00Z", value=["a", 5])
    assert (by_place.unit, by_place.at, by_place.value) == ("7", NOON, ("a", "5"))
    assert made(prediction_id="p", value=True).value == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prediction_id": "p"}, "value: a number or a list of item ids, not None"),
        ({"prediction_id": "p", "value": "yes"}, "value: a number or a list"),
        ({"prediction_id": "p", "value": {"a": 1}}, "value: a number or a list"),
        ({"prediction_id": "p", "value": float("nan")}, "value: the number is not finite"),
        ({"prediction_id": "p", "value": float("inf")}, "not finite"),
        ({"prediction_id": "p", "value": 10**400}, "not finite"),
        ({"prediction_id": "p", "value": [1.5]}, "an item id is text or a whole number, not 1.5"),
        ({"prediction_id": "p", "value": [True]}, "not True"),
        ({"value": 1}, "by prediction_id, or by unit and at"),
        ({"unit": "u", "value": 1}, "by prediction_id, or by unit and at"),
        ({"at": "2026-01-05T12:00:00Z", "value": 1}, "by prediction_id, or by unit and at"),
        ({"prediction_id": "p", "unit": "u", "value": 1}, "by prediction_id, or by unit and at"),
        (
            {"prediction_id": "p", "unit": "u", "at": "2026-01-05T12:00:00Z", "value": 1},
            "by prediction_id, or by unit and at",
        ),
        ({"prediction_id": 5, "value": 1}, "prediction_id: text, not 5"),
        ({"prediction_id": "", "value": 1}, "prediction_id: text, not ''"),
        ({"unit": 1.5, "at": "2026-01-05T12:00:00Z", "value": 1}, "unit: text, not 1.5"),
        ({"unit": "u", "at": "noon", "value": 1}, "at: an ISO 8601 time, not 'noon'"),
        ({"unit": "u", "at": 5, "value": 1}, "at: an ISO 8601 time, not 5"),
        ({"unit": "u", "at": "2026-01-05T12:00:00", "value": 1}, "at: .* no offset"),
        ({"prediction_id": "p", "value": 1, "vaule": 2}, "unknown field 'vaule'; known: pred"),
    ],
)
def test_wrong_label_is_refused_with_its_field(fields, words):
    with pytest.raises(ValueError, match=words):
        made(**fields)


@pytest.mark.parametrize(
    ("task", "good", "bad", "words"),
    [
        ("binary_classification", 1.0, 2, "0 or 1"),
        ("binary_classification", 0, ["a"], "a number"),
        ("multiclass_classification", 2, 0.5, "a whole number, 0 or more"),
        ("count_regression", 0, -1, "a whole number, 0 or more"),
        ("regression", -0.5, ["a"], "a number"),
        ("ranking", [], 1, "a list of item ids"),
    ],
)
def test_label_that_the_task_can_not_have_is_refused(task, good, bad, words):
    def made(value):
        fields = {"prediction_id": "p", "value": value}
        return label_from("m", fields, logged_at=NOON, source="test", task=task)

    assert made(good).value == (tuple(good) if isinstance(good, list) else good)
    with pytest.raises(ValueError, match=rf"value: {words} \(the task is {task}\), not"):
        made(bad)


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path, monkeypatch):
    """The command on a CSV file, for a model that has answered."""
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.delenv("MLOPS_PREDICTION_LOG", raising=False)
    folder = tmp_path / "prediction_log"
    (folder / "letters").mkdir(parents=True)

    def run(text, model="letters"):
        file = tmp_path / "labels.csv"
        file.write_text(text, "utf-8")
        code = cli.main(["feedback", model, str(file)])
        return code, FeedbackLog(folder).history("letters")

    return run


def test_command_logs_the_rows_of_a_file(given, capsys):
    code, labels = given(
        "prediction_id,unit,at,value,observed_at\n"
        "p1,,,1,\n"
        ",007,2026-01-05T12:00:00+00:00,0.25,2026-01-06T00:00:00Z\n"
        'p2,,,"[""a"", ""b""]",\n'
    )
    assert code == 0
    assert "3 labels logged" in capsys.readouterr().out
    by_id, by_place, items = labels
    assert (by_id.prediction_id, by_id.value, by_id.unit) == ("p1", 1, None)
    assert (by_place.unit, by_place.at, by_place.value) == ("007", NOON, 0.25)
    assert by_place.observed_at == datetime(2026, 1, 6, tzinfo=UTC)
    assert items.value == ("a", "b")
    assert by_id.source.endswith("labels.csv")
    assert abs(by_id.logged_at - datetime.now(UTC)) < HOUR


def test_file_that_comes_twice_changes_nothing(given, tmp_path):
    given("prediction_id,value\np1,1\n")
    given("prediction_id,value\np1,1\n")
    known = FeedbackLog(tmp_path / "prediction_log").known("letters", [record(prediction_id="p1")])
    assert known.by_prediction == {"p1": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prediction_id,value\np1,1\np2,yes\n", "labels.csv, line 3: value: a number or a list"),
        ("prediction_id,value\np1,1\np2,NaN\n", "line 3: value: the number is not finite"),
        ("prediction_id,value\np1,1\np2\n", "line 3: not 2 fields"),
        ("prediction_id,value\np1,1\np2,1,1\n", "line 3: not 2 fields"),
        ("prediction_id,label\np1,1\n", "line 2: unknown field 'label'"),
        ('prediction_id,value\np1,"1\n', "labels.csv: unexpected end of data"),
    ],
)
def test_command_logs_nothing_of_a_file_with_a_wrong_row(given, capsys, text, words):
    code, labels = given(text)
    assert code == 1
    assert labels == []
    assert words in capsys.readouterr().err


def test_command_knows_the_task_of_a_declared_model(given, capsys):
    assert given("prediction_id,value\np1,1\np2,7\n", model="fraud")[0] == 1
    assert "line 3: value: 0 or 1 (the task is binary_classification)" in capsys.readouterr().err


def test_command_refuses_a_model_that_never_was(given, capsys):
    assert given("prediction_id,value\np1,1\n", model="lettres") == (1, [])
    assert "no model 'lettres'" in capsys.readouterr().err
