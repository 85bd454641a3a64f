"""The prediction log and the disk: power loss, a full disk, and who is told."""

import ctypes
import errno
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlops_assets.lifecycle.prediction_log import LogPolicy, PolicedLog, PredictionLog
from mlops_assets.lifecycle.prediction_log import committer as committer_module
from mlops_assets.lifecycle.prediction_log.record import encode
from mlops_assets.lifecycle.prediction_log.segments import is_closed
from mlops_assets_tests.lifecycle.test_prediction_log import record, segments

libc = ctypes.CDLL(None, use_errno=True)


class Disk:
    """fsync as the log calls it: counted, and held or failed at will."""

    def __init__(self, monkeypatch):
        self.synced: list[bytes] = []
        self.fails = False
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.began = threading.Event()
        monkeypatch.setattr(committer_module, "_sync", self.sync)

    def sync(self, descriptor: int) -> None:
        self.began.set()
        content = self.content(descriptor)
        self.may_go_on.wait(20)
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(descriptor)
        self.synced.append(content)

    @staticmethod
    def content(descriptor: int) -> bytes:
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            return file.read()


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_group_commit_returns_only_when_the_disk_has_it(tmp_path, disk):
    log = PredictionLog(tmp_path, durability="group_commit")
    disk.may_go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(log.append, [record(prediction_id="a" * 32)])
        assert disk.began.wait(20)
        assert not appending.done()
        disk.may_go_on.set()
        appending.result(20)
    assert b"a" * 32 in disk.synced[-1]
    log.close()


def test_appends_that_wait_share_an_fsync(tmp_path, disk):
    log = PredictionLog(tmp_path, durability="group_commit")
    disk.may_go_on.clear()
    with ThreadPoolExecutor(30) as pool:
        first = pool.submit(log.append, [record()])
        assert disk.began.wait(20)
        others = [log.append_documents("fraud", [b"{}"]) for _ in range(29)]
        disk.may_go_on.set()
        first.result(20)
        for each in others:
            each.result(20)
    assert len(disk.synced) == 2
    assert disk.synced[-1].count(b"\n") == 30
    log.close()


def test_group_commit_keeps_every_record_of_many_threads(tmp_path):
    log = PredictionLog(tmp_path, segment_bytes=2000, durability="group_commit")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: log.append([record()]), range(100)))
    assert len(log.read("fraud").records) == 100
    log.close()


def test_failed_fsync_is_an_error_of_the_append_and_its_segment_is_left(tmp_path, disk):
    log = PredictionLog(tmp_path, durability="group_commit")
    log.append([record()])
    disk.fails = True
    with pytest.raises(OSError, match="Input/output error"):
        log.append([record()])
    disk.fails = False
    log.append([record(prediction_id="b" * 32)])
    assert len(segments(log)) == 2
    (new,) = {content for content in disk.synced if b"b" * 32 in content}
    assert new.count(b"\n") == 1
    log.close()


def test_without_group_commit_the_disk_gets_it_at_an_interval(tmp_path, disk):
    log = PredictionLog(tmp_path, sync_seconds=0.01)
    disk.may_go_on.clear()
    log.append([record(prediction_id="c" * 32)])  # does not wait
    assert disk.began.wait(20)
    disk.may_go_on.set()
    log.close()
    assert b"c" * 32 in b"".join(disk.synced)


def append_for_ever(log):
    while True:
        log.append([record()])


def test_failed_fsync_of_the_interval_is_told_by_the_next_append(tmp_path, disk):
    log = PredictionLog(tmp_path, sync_seconds=0.001)
    disk.fails = True
    log.append([record()])
    assert disk.began.wait(20)
    with pytest.raises(OSError, match="earlier records may be lost"):
        append_for_ever(log)
    disk.fails = False
    log.close()


def test_close_leaves_nothing_unsynced(tmp_path, disk):
    log = PredictionLog(tmp_path, sync_seconds=1000)
    log.append([record(prediction_id="d" * 32)])
    log.close()
    assert b"d" * 32 in disk.synced[-1]
    assert all(map(is_closed, segments(log)))


def test_durability_is_one_of_two(tmp_path):
    with pytest.raises(ValueError, match="group_commit"):
        PredictionLog(tmp_path, durability="sometimes")


# --- a full disk ------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if libc.mount(b"none", bytes(folder), b"tmpfs", 0, b"size=256k"):
        pytest.skip("mounting needs root")
    yield folder
    libc.umount2(bytes(folder), 2)


def fill(folder, size):
    """Write a file until it has a size, or the disk is full."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            file.write(bytes(size))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def append_all(log, records, logged):
    for one in records:
        assert append(log, one)
        logged.append(one)


def append(policed, *records):
    documents = [encode(one) for one in records]
    return policed.append(records[0].model, documents, len(records))


@pytest.mark.parametrize("durability", ["write", "group_commit"])
def test_full_disk_closed_no_answer_leaves_and_the_log_stays_whole(small_disk, durability, caplog):
    log = PredictionLog(small_disk, durability=durability)
    policed = PolicedLog(log, {})
    logged = []
    fill(small_disk, 200_000)
    with pytest.raises(OSError, match=r"space|written"):
        append_all(policed, [record(answer={"prediction": "x" * 1000})] * 1000, logged)
    with caplog.at_level(logging.ERROR), pytest.raises(OSError, match=r"space|written"):
        append(policed, record(answer={"prediction": "x" * 5000}))
    assert policed.failures("fraud").refused == 2
    assert policed.failures("fraud").lost == 0
    assert 1 < len(logged) < 1000
    assert len(log.read("fraud").records) == len(logged)
    (small_disk / "filler").unlink()
    assert append(policed, record())
    assert len(log.read("fraud").records) == len(logged) + 1
    log.close()


def test_full_disk_open_the_answer_leaves_and_is_counted_with_an_alarm(small_disk, caplog):
    log = PredictionLog(small_disk)
    policed = PolicedLog(log, {"fraud": LogPolicy("open")})
    fill(small_disk, 1_000_000)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert append(policed, record(), record()) is False
        with pytest.raises(OSError, match="space"):
            append(policed, record(model="pricing"))
    assert policed.failures("fraud").lost == 6
    assert policed.failures("fraud").refused == 0
    assert policed.failures("pricing").refused == 1
    alarms = [r.getMessage() for r in caplog.records]
    assert [a.split(":")[1] for a in alarms] == [" fraud", " pricing"], "one a model and minute"
    assert "No space left on device" in alarms[0]
    log.close()


def test_policy_is_one_of_two():
    with pytest.raises(ValueError, match="on_failure"):
        LogPolicy("ajar")
