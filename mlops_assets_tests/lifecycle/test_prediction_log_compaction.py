"""The compactor: whatever it is in the middle of, every record is there once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mlops_assets import cli
from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError
from mlops_assets.lifecycle.ground_truth import FeedbackLog, label_from
from mlops_assets.lifecycle.prediction_log import PredictionLog, migrations
from mlops_assets.lifecycle.prediction_log.compaction import compact
from mlops_assets.lifecycle.prediction_log.reading import default_database
from mlops_assets.lifecycle.prediction_log.store import LogStore
from mlops_assets.lifecycle.prediction_log.tables import METADATA
from mlops_assets_tests.harness import free_port
from mlops_assets_tests.lifecycle.test_prediction_log import HOUR, NOON, record, segments

KEEP = timedelta(days=1)


def soon():
    return datetime.now(UTC)


def later():
    return soon() + 2 * KEEP


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database."""
    if request.param == "sqlite":
        yield default_database(tmp_path)
        return
    server = request.getfixturevalue("postgres_url")
    schema = f"test_{os.urandom(4).hex()}"
    admin = sa.create_engine(server)
    with admin.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    address = sa.make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
    yield address.render_as_string(hide_password=False)
    with admin.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture
def store(url):
    store = LogStore(url)
    yield store
    store.close()


@pytest.fixture
def log(tmp_path, url):
    log = PredictionLog(tmp_path, database=url)
    yield log
    log.close()


def rows_in(url, table="predictions") -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        count = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar()
    engine.dispose()
    return count


def test_what_is_moved_is_read_back_to_the_last_bit(log, store, url):
    written = [
        record(NOON, features={"x": 0.1 + 0.2, "y": 1e-320, "n": 2**70, "gap": None}),
        record(NOON + HOUR, unit="süd\0\t\\N\n\ud800", key={"a\\b": "\u2028"}),
        record(NOON + 2 * HOUR, unit="long" * 5000),
        record(NOON + 3 * HOUR, unit=None, answer={}, status=500, variant="canary"),
        record(datetime(1, 1, 1, tzinfo=UTC)),
    ]
    log.append(written)
    assert compact(log, store, now=soon()).rows == 5
    written.sort(key=lambda r: r.at)
    assert log.read("fraud").records == written
    log.close()
    assert compact(log, store, now=later()).deleted == 1
    assert log.read("fraud").records == written
    assert rows_in(url) == 5
    assert log.read("fraud").records[-1].failed


def test_read_sees_segments_and_database_as_one(log, store):
    written = []
    for number in range(6):
        written.append(record(NOON + number * HOUR))
        log.append(written[-1:])
        if number % 2:
            log.close()
        compact(log, store, now=later() if number == 3 else soon())
        assert log.read("fraud").records == written
    assert len(segments(log)) == 1
    assert log.read("fraud", NOON + HOUR, NOON + 4 * HOUR).records == written[1:4]
    assert log.read("fraud", None, NOON + HOUR).records == written[:1]
    assert log.read("fraud", NOON + 5 * HOUR).records == written[5:]


def test_compacting_again_stores_nothing(log, store, url):
    log.append([record(), record()])
    assert compact(log, store, now=soon()).rows == 2
    assert compact(log, store, now=soon()).rows == 0
    assert rows_in(url) == 2


def test_open_segment_is_moved_and_stays_however_old(log, store):
    log.append([record()])
    assert compact(log, store, now=later()).deleted == 0
    log.append([record()])
    assert compact(log, store, now=later()).rows == 1
    assert len(segments(log)) == 1


def test_stored_segment_stays_for_the_time_to_keep(log, store):
    log.append([record()])
    log.close()
    assert compact(log, store, now=soon()).deleted == 0
    assert compact(log, store, now=later(), keep=3 * KEEP).deleted == 0
    assert compact(log, store, now=later()).deleted == 1


def test_models_do_not_mix(log, store):
    log.append([record()])
    log.append([record(model="pricing")])
    log.close()
    compact(log, store, now=later())
    assert [r.model for r in log.read("pricing").records] == ["pricing"]
    assert [r.model for r in log.read("fraud").records] == ["fraud"]


def test_line_that_is_being_written_waits(log, store):
    log.append([record(), record()])
    (file,) = segments(log)
    whole = file.read_bytes()
    os.truncate(file, len(whole) - 10)  # its writer holds it still
    assert compact(log, store, now=later()).rows == 1
    assert log.read("fraud").torn == 0
    file.write_bytes(whole)
    assert compact(log, store, now=later()).rows == 1
    assert len(log.read("fraud").records) == 2


def test_torn_line_is_kept_and_still_counted_when_its_segment_is_gone(log, store, url):
    log.append([record(), record()])
    log.close()
    (file,) = segments(log)
    os.truncate(file, file.stat().st_size - 10)
    content = file.read_bytes()
    assert log.read("fraud").torn == 1
    done = compact(log, store, now=later())
    assert (done.rows, done.torn, done.deleted) == (1, 1, 1)
    reading = log.read("fraud")
    assert (len(reading.records), reading.torn) == (1, 1)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        torn = connection.execute(sa.text("SELECT torn FROM prediction_log_segments")).scalar()
    engine.dispose()
    assert content.endswith(bytes(torn))
    assert b"\n" not in bytes(torn)


@pytest.mark.parametrize("shape", ["changed", "no record"])
def test_damaged_line_stops_its_segment_is_named_and_never_deleted(log, store, shape):
    import zlib

    log.append([record() for _ in range(3)])
    log.close()
    (file,) = segments(log)
    lines = file.read_bytes().splitlines(keepends=True)
    if shape == "changed":
        lines[1] = lines[1].replace(b'"score":0.75', b'"score":0.76')
        words = f"{file}, line 2: damaged, its checksum does not match"
    else:
        lines[1] = b"%08x {}\n" % zlib.crc32(b"{}")
        words = f"{file}, line 2: not a prediction: 'at'"
    file.write_bytes(b"".join(lines))
    log.append([record()])
    log.close()
    done = compact(log, store, now=later())
    assert done.damaged == [words]
    assert (done.rows, done.deleted) == (2, 1)
    again = compact(log, store, now=later())
    assert (again.damaged, again.rows) == ([words], 0)
    assert segments(log) == [file]
    with pytest.raises(EvidenceError, match="line 2"):
        log.read("fraud")


def test_segment_that_lost_its_end_after_it_was_stored_is_told(log, store):
    log.append([record(), record()])
    log.close()
    (file,) = segments(log)
    compact(log, store, now=soon())
    os.truncate(file, 100)
    done = compact(log, store, now=later())
    assert "has 100 bytes" in done.damaged[0]
    assert file.exists()
    assert len(log.read("fraud").records) == 2


def test_log_whose_segments_moved_is_not_read_without_their_database(tmp_path):
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    log = PredictionLog(tmp_path / "log", database=elsewhere)
    log.append([record()])
    log.close()
    compact(log, LogStore(elsewhere), now=later())
    assert len(log.read("fraud").records) == 1
    with pytest.raises(EvidenceError, match="a database that is not given"):
        PredictionLog(tmp_path / "log").read("fraud")
    other = PredictionLog(tmp_path / "log", database=f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(EvidenceError, match=r"another database than sqlite:///.*/empty.db"):
        other.read("fraud")


def test_empty_segment_goes_too(log, store):
    log.append([record()])
    log.close()
    (file,) = segments(log)
    os.truncate(file, 0)
    assert compact(log, store, now=later()).deleted == 1


# --- at any moment ----------------------------------------------------------------------------


def processes_from_a_clean_one():
    """Never a fork of this one: it may copy a lock that a thread of another test holds."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def compact_slowly(folder, url, begun):
    """A process's work: many small transactions, then deletions."""
    store = LogStore(url)
    begun.set()
    compact(PredictionLog(folder), store, now=later(), batch=3)


def test_kill_9_at_any_moment_neither_loses_nor_doubles(tmp_path, url, log):
    LogStore(url).close()
    small = PredictionLog(tmp_path, segment_bytes=10_000, database=url)
    clean = processes_from_a_clean_one()
    written, cut_short = [], 0
    for _ in range(12):
        for _ in range(40):
            some = [record(NOON + timedelta(seconds=len(written))) for _ in range(3)]
            small.append(some)
            written += some
        begun = clean.Event()
        process = clean.Process(target=compact_slowly, args=(tmp_path, url, begun))
        process.start()
        assert begun.wait(60)
        time.sleep(random.uniform(0, 0.1))
        process.kill()
        process.join()
        cut_short += process.exitcode == -signal.SIGKILL
        found = small.read("fraud").records
        assert sorted(r.prediction_id for r in found) == sorted(r.prediction_id for r in written)
    assert cut_short > 0
    small.close()
    store = LogStore(url)
    compact(small, store, now=later())
    store.close()
    assert segments(small) == []
    assert rows_in(url) == len(written)
    assert {r.prediction_id: r for r in small.read("fraud").records} == {
        r.prediction_id: r for r in written
    }


def test_readers_and_two_compactors_beside_a_writer_see_each_record_once(tmp_path, url):
    log = PredictionLog(tmp_path, segment_bytes=5000, database=url)
    store = LogStore(url)
    stop, failures = threading.Event(), []

    def keep_compacting():
        try:
            while not stop.is_set():
                compact(log, store, now=later(), batch=7)
        except BaseException as error:
            failures.append(error)
            raise

    compactors = [threading.Thread(target=keep_compacting) for _ in range(2)]
    for compactor in compactors:
        compactor.start()
    acknowledged = []
    try:
        for _ in range(60):
            some = [record() for _ in range(10)]
            log.append(some)
            acknowledged += [r.prediction_id for r in some]
            found = [r.prediction_id for r in log.read("fraud").records]
            assert sorted(found) == sorted(acknowledged)
    finally:
        stop.set()
        for compactor in compactors:
            compactor.join()
    assert failures == []
    log.close()
    compact(log, store, now=later())
    assert rows_in(url) == len(acknowledged)
    store.close()


# --- the schema -------------------------------------------------------------------------------


def test_every_earlier_schema_is_brought_up_to_date_with_its_rows(tmp_path, url):
    script = ScriptDirectory(str(migrations.__path__[0]))
    revisions = [r.revision for r in script.walk_revisions()][::-1]
    assert revisions[-1] == migrations.HEAD == script.get_current_head()
    engine = sa.create_engine(url)
    migrations.migrate(engine, revisions[0])
    insert = "INSERT INTO prediction_log_segments (kind, model, name, stored) VALUES "
    with engine.begin() as connection:
        connection.execute(sa.text(f"{insert} ('prediction', 'fraud', 'old.log', 7)"))
        identity = connection.execute(sa.text("SELECT id FROM prediction_log_identity")).scalar()
    for revision in revisions[1:]:
        migrations.migrate(engine, revision)
    store = LogStore(url)
    assert store.id == identity
    assert store.progress("prediction", "fraud")["old.log"].stored == 7
    store.close()
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": migrations.VERSION_TABLE}
        )
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_many_processes_open_an_empty_database_at_once(url):
    clean = processes_from_a_clean_one()
    processes = [clean.Process(target=LogStore, args=(url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0] * 4
    assert rows_in(url, "prediction_log_identity") == 1


def test_database_of_a_newer_version_is_refused(url):
    LogStore(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(DeclarationError, match="does not know"):
        LogStore(url)


def test_window_is_found_by_an_index(url, log, store):
    engine = sa.create_engine(url)
    if engine.dialect.name != "sqlite":
        pytest.skip("a planner that counts rows reads a small table through")
    query = "EXPLAIN QUERY PLAN SELECT document FROM predictions WHERE model = 'm' "
    with engine.connect() as connection:
        for condition, index in [
            ("AND at >= 1 AND at < 2", "predictions_model_at"),
            ("AND unit = 'u' AND at = 1", "predictions_model_unit_at"),
            ("AND +model = 'm' AND prediction_id = 'p'", "predictions_prediction_id"),
        ]:
            plan = connection.execute(sa.text(query + condition)).fetchall()
            assert f"USING INDEX {index}" in str(plan)
    engine.dispose()


# --- the command ------------------------------------------------------------------------------


def test_command_moves_predictions_and_labels(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.delenv("MLOPS_PREDICTION_LOG", raising=False)
    log, feedback = (kind(tmp_path / "prediction_log") for kind in (PredictionLog, FeedbackLog))
    one = record()
    log.append([one])
    fields = {"prediction_id": one.prediction_id, "value": 1}
    feedback.append([label_from("fraud", fields, logged_at=soon(), source="test")])
    log.close()
    feedback.close()
    assert cli.main(["compact", "--keep", "0s"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "predictions: 1 stored, 0 torn lines kept, 1 segments deleted",
        "labels: 1 stored, 0 torn lines kept, 1 segments deleted",
    ]
    assert log.read("fraud").records == [one]
    assert feedback.known("fraud", [one]).by_prediction == {one.prediction_id: 1}


def test_command_fails_on_a_damaged_segment(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    log = PredictionLog(tmp_path / "prediction_log")
    log.append([record()])
    log.close()
    (file,) = segments(log)
    file.write_bytes(b"0" + file.read_bytes()[1:].replace(b"fraud", b"freud"))
    assert cli.main(["compact"]) == 1
    assert f"damaged: {file}, line 1" in capsys.readouterr().out


def test_command_knows_a_duration(capsys):
    assert cli.main(["compact", "--keep", "soon"]) == 1
    assert "--keep: 'soon' is not a duration" in capsys.readouterr().err


def test_command_names_a_database_that_is_away_without_its_password(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    nobody = f"127.0.0.1:{free_port()}"
    url = f"postgresql+psycopg2://me:secret@{nobody}/log"
    monkeypatch.setenv("MLOPS_LOG_DATABASE_URL", url)
    assert cli.main(["compact"]) == 1
    said = capsys.readouterr().err
    assert nobody in said
    assert "refused" in said
    assert "secret" not in said


def test_command_goes_on_until_it_is_stopped(tmp_path):
    log = PredictionLog(tmp_path / "prediction_log")
    command = [sys.executable, "-m", "mlops_assets.cli", "compact", "--every", "0.02"]
    environment = {**os.environ, "MLOPS_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            log.append([record()])
            while "1 stored" not in process.stdout.readline():
                assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    log.close()
