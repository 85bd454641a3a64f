"""The outbox: nothing is lost, nothing is told twice, and nobody is called too often."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from mlops_assets.commands import alerts as command
from mlops_assets.lifecycle.alerts import Alert, delivery
from mlops_assets.lifecycle.alerts.delivery import deliver_all
from mlops_assets.lifecycle.alerts.outbox import Outbox
from mlops_assets.lifecycle.alerts.tables import CHANNELS, DELIVERIES
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.resources import Notifier, Platform
from mlops_assets_tests.harness import free_port
from mlops_assets_tests.receivers import HttpInbox

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

DELIVER = """
import os, signal, sys
from pathlib import Path
from mlops_assets.lifecycle.alerts import outbox as module
from mlops_assets.lifecycle.alerts.delivery import deliver_all
if sys.argv[3] == "die":
    module.LEASE_SECONDS = 0
    module.Outbox.sent = lambda *arguments, **named: os.kill(os.getpid(), signal.SIGKILL)
deliver_all(module.Outbox(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'folder' / 'mlops.db'}"
    url = request.getfixturevalue("postgres_url")
    Outbox(url)
    with sa.create_engine(url).begin() as connection:
        connection.execute(DELIVERIES.delete())
        connection.execute(CHANNELS.delete())
    return url


@pytest.fixture
def outbox(url):
    return Outbox(url)


@pytest.fixture
def inbox():
    with HttpInbox().listening() as inbox:
        yield inbox


@pytest.fixture
def file(tmp_path, inbox, monkeypatch):
    """The alerts file; its channel ``team`` takes five messages an hour."""
    monkeypatch.setenv("TEAM_URL", inbox.url)
    file = tmp_path / "alerts.yaml"
    file.write_text('team: {type: webhook, url: "{{ env.TEAM_URL }}", max_per_hour: 5}\n', "utf-8")
    return file


class Clock:
    """What the delivery takes for the time."""

    def __init__(self):
        self.seconds = NOW.timestamp()

    def time(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(delivery, "time", clock)
    return clock


def alert(number=1, **fields):
    named = {"model": "fraud", "kind": "drift", "message": f"number {number}", "link": "http://x"}
    return Alert(**(named | fields))


def put(outbox, *alerts, at=NOW, channel="team"):
    return [outbox.add(each, channel, HOUR, at) for each in alerts]


def told(inbox):
    return [each["message"] for each in inbox.received]


# --- once -----------------------------------------------------------------------------------


def test_the_same_is_counted_and_the_next_one_says_how_often(outbox, inbox, file, clock):
    same = alert(subject="w1")
    assert put(outbox, same, same) == [True, False]
    deliver_all(outbox, file)
    assert put(outbox, alert(2, subject="w1"), at=NOW + HOUR / 2) == [False]
    assert put(outbox, alert(3, subject="w1"), at=NOW + HOUR) == [True]
    assert put(outbox, alert(4, subject="w1"), at=NOW + 3 * HOUR) == [True]
    deliver_all(outbox, file)
    # The first left when it had been raised twice, and said so.
    assert told(inbox) == [
        "number 1; and 1 more like it", "number 3; and 1 more like it", "number 4"
    ]  # fmt: skip
    assert [each["repeats"] for each in inbox.received] == [1, 1, 0]


@pytest.mark.parametrize(
    "other", [{"model": "iris"}, {"kind": "decay"}, {"subject": "w2"}], ids=lambda o: next(iter(o))
)
def test_what_is_about_something_else_is_sent(outbox, other):
    assert put(outbox, alert(subject="w1"), alert(**({"subject": "w1"} | other))) == [True, True]
    assert put(outbox, alert(subject="w1"), channel="others") == [True]


def test_once_is_once_however_long_ago(outbox):
    assert put(outbox, alert(subject="w1", once=True)) == [True]
    assert put(outbox, alert(subject="w1", once=True), at=NOW + 9000 * HOUR) == [False]


def test_a_clock_that_was_wrong_silences_nothing(outbox):
    assert put(outbox, alert(subject="w1"), at=NOW + 9000 * HOUR) == [True]
    assert put(outbox, alert(subject="w1")) == [True]


def test_any_text_can_be_stored(outbox):
    put(outbox, alert(message="nul \0, half a \ud800, café, " + "x" * 20_000))
    (waiting,) = outbox.waiting()
    assert waiting.message.startswith("nul , half a ?, café, xxx")


# --- delivered ------------------------------------------------------------------------------


def test_a_server_that_is_down_gets_it_when_it_is_up_again(outbox, file, clock, monkeypatch):
    port = free_port()
    monkeypatch.setenv("TEAM_URL", f"http://127.0.0.1:{port}/")
    put(outbox, alert(1), alert(2))
    attempts = []
    for _ in range(140):  # thirty seconds each
        (found,) = deliver_all(outbox, file)
        assert found.waiting == 2
        attempts.append(max(each.attempts for each in outbox.waiting()))
        clock.seconds += 30
    tried = [30 * n for n, made in enumerate(attempts) if made > max(attempts[:n], default=0)]
    assert tried == [0, 30, 90, 210, 450, 930, 1890, 3810], "each wait is twice the last"
    assert "ConnectionRefusedError" in found.error
    with HttpInbox(port).listening() as inbox:
        clock.seconds += 3600
        (found,) = deliver_all(outbox, file)
        assert told(inbox) == ["number 1", "number 2"]
    assert (found.sent, found.waiting) == (2, 0)
    assert outbox.channel("team").failures == 0


def test_one_alert_that_is_refused_holds_no_other_back(outbox, inbox, file, clock):
    put(outbox, alert(1))
    inbox.status = 400
    deliver_all(outbox, file)
    inbox.status = 200
    put(outbox, alert(2))
    deliver_all(outbox, file)
    assert told(inbox) == ["number 2"]
    (waiting,) = outbox.waiting()
    assert (waiting.message, waiting.attempts) == ("number 1", 1)
    assert waiting.error == "the server answered 400"
    clock.seconds += 30
    deliver_all(outbox, file)
    assert told(inbox) == ["number 2", "number 1"]


def test_a_server_that_asks_for_time_gets_it(outbox, inbox, file, clock):
    put(outbox, alert(1))
    inbox.status, inbox.headers = 429, {"Retry-After": "600"}
    deliver_all(outbox, file)
    inbox.status = 200
    clock.seconds += 599
    deliver_all(outbox, file)
    assert told(inbox) == []
    clock.seconds += 1
    deliver_all(outbox, file)
    assert told(inbox) == ["number 1"]


def test_more_than_max_per_hour_leave_as_one_digest(outbox, inbox, file, clock):
    for number in range(12):
        put(outbox, alert(number, model=f"m{number % 2}"))
        deliver_all(outbox, file)
        clock.seconds += 60
    assert told(inbox) == [f"number {n}" for n in range(5)]
    (found,) = deliver_all(outbox, file)
    assert str(found) == "team: 7 wait: max_per_hour 5: held back, for one digest"
    clock.seconds += 3600 - 12 * 60
    deliver_all(outbox, file)
    (digest,) = inbox.received[5:]
    assert (digest["kind"], digest["model"], digest["repeats"]) == ("digest", "several models", 7)
    assert digest["message"].startswith("7 alerts that waited:\n")
    assert all(f"number {n}" in digest["message"] for n in range(5, 12))
    assert outbox.waiting() == []


def test_a_long_digest_says_where_the_rest_is(outbox, inbox, file, clock):
    put(outbox, *(alert(n, message=f"{n} " + "long " * 200) for n in range(100)))
    deliver_all(outbox, file)
    (digest,) = inbox.received
    assert len(digest["message"]) < 12_000
    assert digest["message"].endswith("and 60 more: `mlops-assets alerts` has them all")


def test_a_channel_that_is_not_in_the_file_keeps_its_alerts(outbox, inbox, file):
    put(outbox, alert(1), channel="gone")
    (found,) = deliver_all(outbox, file)
    assert str(found) == f"gone: 1 wait: the alerts file {file} has no such channel"
    file.write_text(file.read_text("utf-8").replace("team:", "gone:"), "utf-8")
    deliver_all(outbox, file)
    assert told(inbox) == ["number 1"]


# --- processes ------------------------------------------------------------------------------


def process(url, file, how="live"):
    return subprocess.Popen([sys.executable, "-c", DELIVER, url, str(file), how])


def test_processes_that_deliver_at_once_send_nothing_twice(url, outbox, inbox, file):
    file.write_text(file.read_text("utf-8").replace("5}", "1000}"), "utf-8")
    put(outbox, *(alert(n) for n in range(40)))
    started = [process(url, file) for _ in range(3)]
    assert [each.wait(120) for each in started] == [0, 0, 0]
    deliver_all(outbox, file)
    assert sorted(told(inbox)) == sorted(f"number {n}" for n in range(40))


def test_a_kill_between_sending_and_noting_repeats_one_message(url, outbox, inbox, file):
    put(outbox, alert(1), alert(2))
    assert process(url, file, "die").wait(120) == -signal.SIGKILL
    assert told(inbox) == ["number 1"]
    deliver_all(outbox, file)
    assert told(inbox) == ["number 1", "number 1", "number 2"]
    first, again, _ = inbox.received
    assert first["id"] == again["id"], "a receiver can tell"


def test_alerts_of_two_platforms_are_told_apart(outbox, inbox, file, tmp_path):
    """A mail program shows one message of an id only, and the rows of both count from 1."""
    others = Outbox(f"sqlite:///{tmp_path / 'others.db'}")
    put(outbox, alert(1))
    put(others, alert(2), at=NOW + HOUR)
    for each in (outbox, others):
        deliver_all(each, file)
    assert len({each["id"] for each in inbox.received}) == 2


def test_who_holds_a_channel_holds_it_alone_until_the_lease_ends(outbox):
    now = NOW.timestamp()
    with outbox.claimed("team", now) as first:
        assert first is not None
        with outbox.claimed("team", now + 29) as second:
            assert second is None
        with outbox.claimed("team", now + 30) as third:
            assert third is not None
            assert not outbox.renew("team", first, now + 30), "it was taken over"
    with outbox.claimed("team", now) as free:
        assert free is not None


def test_processes_that_open_an_empty_database_at_once(url, file):
    Outbox(url)
    with sa.create_engine(url).begin() as connection:
        DELIVERIES.metadata.drop_all(connection)
    started = [process(url, file) for _ in range(3)]
    assert [each.wait(120) for each in started] == [0, 0, 0]


# --- the face -------------------------------------------------------------------------------


class Log:
    def __init__(self):
        self.lines = []

    def error(self, line):
        self.lines.append(line)


@pytest.fixture
def notifier(tmp_path, file, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv("MLOPS_ALERTS", str(file))
    monkeypatch.delenv("MLOPS_DATABASE_URL", raising=False)
    return Notifier(platform=Platform())


def stored(tmp_path):
    return b"".join(p.read_bytes() for p in tmp_path.glob("mlops.db*"))


def test_an_alert_leaves_at_once(notifier, inbox):
    log = Log()
    notifier.send(alert(), ["team", "team"], log)
    assert told(inbox) == ["number 1"]
    assert log.lines == []


def test_no_secret_comes_to_the_log_or_the_outbox(notifier, inbox, tmp_path, monkeypatch):
    log, secret = Log(), inbox.url
    inbox.status = 500
    url = "postgresql+psycopg2://ann:pa55word@host/db"
    notifier.send(alert(message=f"could not post to {secret} or {url}"), ["team"], log)
    (line,) = log.lines
    assert line.startswith("alert not delivered to team: the server answered 500; attempt 1")
    for text in (line.encode(), stored(tmp_path)):
        assert b"s3cret-token" not in text
        assert b"pa55word" not in text
    assert b"could not post to *** or postgresql+psycopg2://***@host/db" in stored(tmp_path)


def test_who_raises_many_waits_for_a_dead_server_once(notifier, monkeypatch):
    monkeypatch.setenv("TEAM_URL", f"http://127.0.0.1:{free_port()}/")
    log = Log()
    for number in range(5):
        notifier.send(alert(number), ["team"], log)
    assert [each.attempts for each in notifier.platform.outbox.waiting()] == [1, 0, 0, 0, 0]
    assert all("alert not delivered to team" in line for line in log.lines)
    assert len(log.lines) == 5


def test_a_file_that_is_wrong_loses_nothing(notifier, inbox, file):
    good, log = file.read_text("utf-8"), Log()
    file.write_text("team: {type: pigeon}", "utf-8")
    notifier.send(alert(), ["team"], log)
    assert "pigeon" in log.lines[0]
    file.write_text(good, "utf-8")
    deliver_all(notifier.platform.outbox, file)
    assert told(inbox) == ["number 1"]


def test_without_a_database_an_alert_has_one_chance(notifier, inbox, monkeypatch):
    monkeypatch.setenv("MLOPS_DATABASE_URL", f"postgresql+psycopg2://x@127.0.0.1:{free_port()}/x")
    log = Log()
    notifier.send(alert(), ["team"], log)
    assert told(inbox) == ["number 1"]
    assert log.lines == ["no outbox (OperationalError): an alert to team has one chance"]


def test_the_command_lists_retries_and_tests(notifier, inbox, capsys, monkeypatch):
    def run(**options):
        monkeypatch.setenv("COLUMNS", "200")
        everything = {"failed": False, "retry": False, "test": None, "newest": 30} | options
        code = command.run(SimpleNamespace(**everything))
        return code, capsys.readouterr().out

    inbox.status = 500
    notifier.send(alert(message="[bold]amount[/bold] drifted"), ["team"], Log())
    code, out = run(failed=True)
    assert code == 1
    assert "[bold]amount[/bold] drifted" in out
    assert "not yet: 1 attempts; the server answered 500" in out
    assert run(retry=True)[0] == 1
    inbox.status = 200
    assert run(retry=True) == (0, "team: 1 delivered\n")
    assert run(failed=True)[0] == 0
    assert "[bold]amount[/bold] drifted" in run()[1]
    assert run(test="team") == (0, "team took a test alert\n")
    assert inbox.received[-1]["kind"] == "test"


def test_the_outbox_is_beside_the_journal(home):
    settings = Settings.from_environment()
    Outbox(settings.database_url).add(alert(), "team", HOUR, NOW)
    assert os.path.exists(settings.home / "mlops.db")
