"""The prediction log: what is written is read back, and damage is never read as data."""

import os
import resource
import shutil
import signal
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest
from msgspec.structs import replace

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets.lifecycle.prediction_log.segments import is_closed

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def record(at=NOON, **changes) -> Record:
    made = Record(
        prediction_id=new_prediction_id(),
        model="fraud",
        version=3,
        run_id="run",
        unit="card-1",
        at=at,
        logged_at=NOON + HOUR,
        features={"amount": 0.1 + 0.2, "count": 7, "region": "süd\n", "gap": None},
        key={"transaction_id": 1},
        answer={"prediction": 1, "score": 0.75},
        latency_ms=1.5,
    )
    return replace(made, **changes)


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path)
    yield log
    log.close()


def segments(log):
    return sorted((log.folder / "fraud").glob("*.log"))


def test_what_is_written_is_read_back(log):
    written = [record(NOON + i * HOUR) for i in range(3)]
    log.append(written[1:])
    log.append(written[:1])
    reading = log.read("fraud")
    assert reading.records == written
    assert reading.torn == 0


def test_window_is_half_open_in_event_time(log):
    log.append([record(NOON + i * HOUR) for i in range(4)])

    def hours(start=None, end=None):
        return [(r.at - NOON) / HOUR for r in log.read("fraud", start, end).records]

    assert hours(NOON + HOUR, NOON + 3 * HOUR) == [1, 2]
    assert hours(end=NOON + HOUR) == [0]
    assert hours(start=NOON + 3 * HOUR) == [3]
    assert hours() == [0, 1, 2, 3]


def test_model_without_log_has_no_records(log):
    assert log.read("fraud").records == []


def test_models_are_kept_apart(log):
    log.append([record()])
    log.append([record(model="pricing")])
    assert [r.model for r in log.read("pricing").records] == ["pricing"]
    with pytest.raises(ValueError, match="unpack"):
        log.append([record(), record(model="pricing")])


@pytest.mark.parametrize("name", ["../fraud", "a/b", "..", "", ".hidden"])
def test_model_name_can_not_leave_the_folder(log, name):
    with pytest.raises(ValueError, match="no name of a model"):
        log.append([record(model=name)])


def test_segment_rotates_at_its_size(tmp_path):
    log = PredictionLog(tmp_path, segment_bytes=1000)
    written = [record() for _ in range(20)]
    for one in written:
        log.append([one])
    assert len(segments(log)) > 3
    assert {r.prediction_id for r in log.read("fraud").records} == {
        r.prediction_id for r in written
    }
    log.close()


def test_two_writers_never_share_a_segment(tmp_path):
    first, second = PredictionLog(tmp_path), PredictionLog(tmp_path)
    first.append([record()])
    second.append([record()])
    assert len(segments(first)) == 2
    first.close()
    second.close()


def test_threads_write_whole_lines(log):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: log.append([record(), record()]), range(200)))
    reading = log.read("fraud")
    assert len({r.prediction_id for r in reading.records}) == 400
    assert reading.torn == 0


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_torn_last_line_is_skipped_and_counted(log, cut):
    log.append([record(), record()])
    log.close()
    log.append([record()])
    first, _ = segments(log)
    first.write_bytes(first.read_bytes()[:-cut])
    reading = log.read("fraud")
    assert len(reading.records) == 2
    assert reading.torn == 1


@pytest.mark.parametrize("line", [0, 1, 2])
def test_damaged_line_names_file_and_line(log, line):
    log.append([record() for _ in range(3)])
    (file,) = segments(log)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"score":0.75', b'"score":0.76')
    file.write_bytes(b"".join(lines))
    with pytest.raises(EvidenceError, match=f"{file.name}, line {line + 1}: damaged"):
        log.read("fraud")


def test_line_of_another_shape_names_file_and_line(log):
    log.append([record()])
    (file,) = segments(log)
    with file.open("ab") as stream:
        stream.write(b"%08x {}\n" % zlib.crc32(b"{}"))
    with pytest.raises(EvidenceError, match="line 2: not a prediction"):
        log.read("fraud")


def test_nan_is_not_logged(log):
    with pytest.raises(ValueError, match="JSON compliant"):
        log.append([record(answer={"prediction": float("nan")})])


def test_short_write_raises_and_later_records_are_readable(log):
    log.append([record()])
    (file,) = segments(log)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel then writes what fits and no more, as on a disk that runs full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 50, hard))
    try:
        with pytest.raises(OSError, match="only 50 of"):
            log.append([record()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append([record()])
    reading = log.read("fraud")
    assert len(reading.records) == 2
    assert reading.torn == 1


def test_deleted_segment_is_replaced(log):
    log.append([record()])
    segments(log)[0].unlink()
    log.append([record()])
    assert len(log.read("fraud").records) == 1


@pytest.mark.parametrize("durability", ["write", "group_commit"])
def test_deleted_folder_is_made_again(tmp_path, durability):
    log = PredictionLog(tmp_path / "log", durability=durability, sync_seconds=0)
    for _ in range(3):
        log.append([record()])
        shutil.rmtree(tmp_path / "log")
    log.append([record()])
    assert len(log.read("fraud").records) == 1
    log.close()


def test_prediction_ids_sort_by_time():
    ids = [new_prediction_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [i[:12] for i in ids] == sorted(i[:12] for i in ids)
    assert {len(i) for i in ids} == {32}


# --- who writes -------------------------------------------------------------------------------


def append_and_wait(folder):
    PredictionLog(folder).append([record()])
    os.kill(os.getpid(), signal.SIGSTOP)


def test_segment_is_closed_when_its_writer_is_gone_however_it_went(tmp_path):
    writer = get_context("spawn").Process(target=append_and_wait, args=(tmp_path,))
    writer.start()
    os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WNOWAIT)
    (file,) = tmp_path.glob("fraud/*.log")
    assert not is_closed(file)
    writer.kill()
    writer.join()
    assert is_closed(file)


def test_segment_is_closed_when_it_is_full_or_its_log_is_closed(tmp_path):
    log = PredictionLog(tmp_path, segment_bytes=1)
    log.append([record()])
    log.append([record()])
    assert sorted(map(is_closed, segments(log))) == [False, True]
    log.close()
    assert all(map(is_closed, segments(log)))


def append_before_and_after_a_fork(folder):
    log = PredictionLog(folder)
    log.append([record()])
    if (child := os.fork()) == 0:
        log.append([record()])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    log.append([record()])


def test_process_that_was_forked_writes_a_segment_of_its_own(log):
    # From a process without the threads of other tests.
    clean = get_context("spawn").Process(target=append_before_and_after_a_fork, args=(log.folder,))
    clean.start()
    clean.join()
    assert clean.exitcode == 0
    counts = [file.read_bytes().count(b"\n") for file in segments(log)]
    assert sorted(counts) == [1, 2]
    assert len(log.read("fraud").records) == 3


# --- what was written before ------------------------------------------------------------------

OLD = (
    b'{"prediction_id":"019b8e0b5e80aa","model":"fraud","version":3,"run_id":"run",'
    b'"unit":"s\\u00fcd","at":"2026-01-05T12:00:00+00:00",'
    b'"logged_at":"2026-01-05T13:00:00.000001+00:00","features":{"x":0.30000000000000004,'
    b'"half":"\\ud800"},"key":{},"answer":{"prediction":1},"latency_ms":1.5,'
    b'"variant":"champion","status":200}'
)


@pytest.mark.parametrize("whole", [True, False])
def test_segments_of_the_first_version_are_read(log, whole):
    document = OLD if whole else OLD.replace(b',"half":"\\ud800"', b"")
    (log.folder / "fraud").mkdir(parents=True)
    line = b"%08x %s\n" % (zlib.crc32(document), document)
    (log.folder / "fraud" / "4711-1767614400000000000-000000.log").write_bytes(line)
    (found,) = log.read("fraud").records
    assert (found.unit, found.at) == ("süd", NOON)
    assert found.logged_at == NOON + HOUR + timedelta(microseconds=1)
    assert found.features == {"x": 0.1 + 0.2} | ({"half": "\ud800"} if whole else {})


def test_error_that_was_answered_is_logged(log):
    log.append([record(answer={}, status=503), record(status=200)])
    assert sorted(r.failed for r in log.read("fraud").records) == [False, True]


@pytest.mark.parametrize("place", ["features", "key", "answer"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_number_that_is_not_finite_is_not_logged_wherever_it_is(log, place, number):
    with pytest.raises(ValueError, match="JSON compliant"):
        log.append([record(**{place: {"deep": [1, {"x": number}]}})])
    assert log.read("fraud").records == []
