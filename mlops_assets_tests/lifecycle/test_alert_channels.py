"""Channels against real servers: what arrives, and what is said where it does not."""

import socket
import threading
from datetime import UTC, datetime

import pytest

from mlops_assets.lifecycle.alerts import Alert, NotDelivered, load_channels
from mlops_assets.lifecycle.alerts import channel as channels
from mlops_assets.lifecycle.alerts.declared import secrets, without_secrets
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets_tests.harness import free_port
from mlops_assets_tests.receivers import HttpInbox, SmtpInbox, certificate, tls

ALERT = Alert(
    model="fraud",
    kind="drift",
    message="amount drifted",
    link="http://127.0.0.1:3000/runs/1",
    id="alert-team-1",
    at=datetime(2026, 3, 2, 4, 5, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def server():
    with HttpInbox().listening() as inbox:
        yield inbox


@pytest.fixture
def inbox(server, monkeypatch):
    server.received.clear()
    server.status, server.headers, server.before_answering = 200, {}, lambda: None
    monkeypatch.setenv("TEAM_URL", server.url)
    return server


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


def declared(tmp_path, text):
    file = tmp_path / "alerts.yaml"
    file.write_text(f"team: {text}\n", "utf-8")
    return load_channels(file)["team"]


def webhook(tmp_path, kind="webhook"):
    return declared(tmp_path, f'{{type: {kind}, url: "{{{{ env.TEAM_URL }}}}"}}')


def email(tmp_path, port, more=""):
    return declared(
        tmp_path,
        f"{{type: email, host: 127.0.0.1, port: {port}, sender: mlops@example.com, "
        f"to: [ann@example.com, bob@example.com]{more}}}",
    )


# --- HTTP -----------------------------------------------------------------------------------


def test_a_webhook_gets_json(tmp_path, inbox):
    assert webhook(tmp_path).send(ALERT) == ""
    (got,) = inbox.received
    assert got == {
        "model": "fraud",
        "kind": "drift",
        "message": "amount drifted",
        "link": "http://127.0.0.1:3000/runs/1",
        "subject": "",
        "id": "alert-team-1",
        "at": "2026-03-02T04:05:00Z",
        "repeats": 0,
    }


def test_slack_gets_blocks_with_a_link_and_nobody_is_called_by_a_message(tmp_path, inbox):
    message = "<!channel> & <@U1>: column <https://evil|click> drifted"
    webhook(tmp_path, "slack").send(ALERT.model_copy(update={"message": message}))
    (got,) = inbox.received
    header, section, actions, context = got["blocks"]
    assert header["text"]["text"] == "fraud: drift"
    assert actions["elements"][0]["url"] == ALERT.link
    assert "2026-03-02 04:05" in context["elements"][0]["text"]
    for text in (section["text"]["text"], got["text"]):
        assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in text
        assert "<" not in text


def test_slack_gets_no_more_than_it_takes(tmp_path, inbox):
    long = ALERT.model_copy(update={"message": "<&>" * 5000, "model": "m" * 300})
    webhook(tmp_path, "slack").send(long)
    (got,) = inbox.received
    assert len(got["blocks"][0]["text"]["text"]) <= 150
    section = got["blocks"][1]["text"]["text"]
    assert 2000 < len(section) <= 3000
    assert section.rstrip("…").endswith(("&lt;", "&gt;", "&amp;")), "an entity was cut"


@pytest.mark.parametrize(
    ("status", "of_this_alert"),
    [
        (500, False),
        (503, False),
        (404, False),
        (401, False),
        (429, False),
        (400, True),
        (413, True),
    ],
)
@pytest.mark.parametrize("kind", ["webhook", "slack"])
def test_an_error_of_the_server_tells_its_status_and_no_secret(
    tmp_path, inbox, status, of_this_alert, kind
):
    inbox.status = status
    with pytest.raises(NotDelivered, match=f"the server answered {status}$") as caught:
        webhook(tmp_path, kind).send(ALERT)
    assert caught.value.of_this_alert is of_this_alert


def test_a_server_may_ask_for_time(tmp_path, inbox):
    inbox.status, inbox.headers = 429, {"Retry-After": "120"}
    with pytest.raises(NotDelivered) as caught:
        webhook(tmp_path).send(ALERT)
    assert caught.value.retry_after == 120


def test_a_redirect_is_no_delivery(tmp_path, inbox):
    """It would be followed by a GET without the alert, and answered 200."""
    inbox.status, inbox.headers = 302, {"Location": inbox.url}
    with pytest.raises(NotDelivered, match="answered 302"):
        webhook(tmp_path).send(ALERT)
    assert inbox.received == []


def test_a_slow_server_holds_nobody_up(tmp_path, inbox, monkeypatch):
    """Nor one that sends a byte now and then, which no time-out of a socket ends."""
    monkeypatch.setattr("mlops_assets.lifecycle.alerts.posting.TIMEOUT_SECONDS", 0.3)
    go_on = threading.Event()
    inbox.before_answering = go_on.wait
    with pytest.raises(NotDelivered, match=r"no answer within 0.3 seconds|no answer: "):
        webhook(tmp_path).send(ALERT)
    go_on.set()

    with socket.create_server(("127.0.0.1", 0)) as dripping:
        stop = threading.Event()

        def drip():
            connection, _ = dripping.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stop.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        monkeypatch.setenv("TEAM_URL", f"http://127.0.0.1:{dripping.getsockname()[1]}/")
        with pytest.raises(NotDelivered, match=r"no answer within 0.3 seconds"):
            webhook(tmp_path).send(ALERT)
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "url", ["s3cret-token", "ftp://s3cret-token/", "http://[s3cret-token", "http://127.0.0.1:0/s3cret-token"]
)  # fmt: skip
def test_a_url_that_is_none_is_not_told(tmp_path, monkeypatch, url):
    monkeypatch.setenv("TEAM_URL", url)
    with pytest.raises(NotDelivered) as caught:
        webhook(tmp_path).send(ALERT)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None, "a traceback would tell"


# --- e-mail ---------------------------------------------------------------------------------


def test_mail_arrives_over_tls_after_a_login(tmp_path, certified, monkeypatch):
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret-password")
    inbox = SmtpInbox()
    login = f', user: mlops, password: "{{{{ env.SMTP_PASSWORD }}}}", ca_file: {certified[0]}'
    options = {
        "tls_context": tls(certified), "authenticator": inbox.authenticate, "auth_required": True
    }  # fmt: skip
    with inbox.listening(**options) as port:
        assert email(tmp_path, port, login).send(ALERT) == ""
    (message,) = inbox.messages
    assert message["Subject"] == "[fraud] drift: amount drifted"
    assert message["To"] == "ann@example.com, bob@example.com"
    assert message["Message-ID"] == "<alert-team-1@mlops-assets>"
    assert ALERT.link in message.get_content()
    assert inbox.logins == [("mlops", "s3cret-password")]


def test_mail_by_tls_from_the_start(tmp_path, certified):
    inbox = SmtpInbox()
    with inbox.listening(ssl_context=tls(certified)) as port:
        email(tmp_path, port, f", security: ssl, ca_file: {certified[0]}").send(ALERT)
    assert len(inbox.messages) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [("no tls", "the mail server offers no TLS: nothing was sent"), ("strange", "certificate")],
)
def test_without_tls_or_with_a_strange_certificate_nothing_is_sent(
    tmp_path, certified, monkeypatch, options, words
):
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret-password")
    inbox = SmtpInbox()
    served = {} if options == "no tls" else {"tls_context": tls(certified)}
    with inbox.listening(**served) as port, pytest.raises(NotDelivered, match=words):
        email(tmp_path, port, ', user: mlops, password: "{{ env.SMTP_PASSWORD }}"').send(ALERT)
    assert inbox.messages == inbox.logins == []


def test_a_refused_login_tells_no_password(tmp_path, certified, monkeypatch):
    monkeypatch.setenv("SMTP_PASSWORD", "another-s3cret")
    inbox = SmtpInbox()
    login = f', user: mlops, password: "{{{{ env.SMTP_PASSWORD }}}}", ca_file: {certified[0]}'
    served = {"tls_context": tls(certified), "authenticator": inbox.authenticate}
    with inbox.listening(**served) as port, pytest.raises(NotDelivered) as caught:
        email(tmp_path, port, login).send(ALERT)
    assert "answered 535 (SMTPAuthenticationError)" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\0"])
def test_no_message_can_add_a_header_or_a_recipient(tmp_path, bad):
    inbox = SmtpInbox()
    message = f"column{bad}Bcc: eve@example.com{bad}{bad}body{bad}.{bad}RCPT TO:<eve@example.com>"
    with inbox.listening() as port:
        email(tmp_path, port, ", security: none").send(
            ALERT.model_copy(update={"message": message, "model": f"fraud{bad}X-Evil: 1"})
        )
    (got,) = inbox.messages
    assert sorted(got.keys()) == sorted(
        ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
         "Content-Type", "Content-Transfer-Encoding"]
    )  # fmt: skip
    assert inbox.recipients == [["ann@example.com", "bob@example.com"]]
    assert got["Subject"].startswith("[fraud X-Evil: 1] drift: column Bcc: eve@example.com")


def test_a_recipient_that_is_refused_is_told_and_the_others_get_it(tmp_path):
    inbox = SmtpInbox()
    inbox.refused = {"bob@example.com"}
    with inbox.listening() as port:
        channel = email(tmp_path, port, ", security: none")
        assert channel.send(ALERT) == "1 of 2 recipients were refused"
        inbox.refused.add("ann@example.com")
        with pytest.raises(NotDelivered, match="every recipient was refused"):
            channel.send(ALERT)
    assert inbox.recipients == [["ann@example.com"]]


def test_a_mail_server_that_is_down(tmp_path):
    with pytest.raises(NotDelivered, match=r"not reached: ConnectionRefusedError"):
        email(tmp_path, free_port(), ", security: none").send(ALERT)


def test_a_mail_server_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("mlops_assets.lifecycle.alerts.mail.TIMEOUT_SECONDS", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(NotDelivered, match=r"no answer within|not reached"),
    ):
        email(tmp_path, silent.getsockname()[1], ", security: none").send(ALERT)


# --- the console, the file ------------------------------------------------------------------


def test_the_console_gets_one_line_and_no_command_of_a_terminal(capsys):
    message = "drifted\nALERT other failure: \x1b[2Jnothing"
    load_channels(None)["console"].send(ALERT.model_copy(update={"message": message}))
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b" not in written


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{type: webhook, ulr: x}", "team.webhook.ulr"),
        ("{type: slack, url: 'https://hooks.slack.com/services/s3cret'}", "write {{ env.NAME }}"),
        ("{type: email, host: x, sender: 'a@b', to: []}", "team.email.to"),
        ("{type: email, host: x, sender: \"a@b\\nBcc: c@d\", to: [a@b]}", "team.email.sender"),
        ("{type: email, host: x, sender: a@b, to: ['a@b, c@d']}", "team.email.to.0"),
        ("{type: email, host: x, sender: a@b, to: [a@b], user: u}", "go together"),
        ("{type: email, host: x, sender: a@b, to: [a@b], user: u, password: s3cret}", "not the"),
        ("{type: email, host: x, sender: a@b, to: [a@b], user: u, security: none, "
         "password: '{{ env.P }}'}", "in the clear"),
        ("{type: webhook, url: x, max_per_hour: 0}", "max_per_hour"),
        ("{type: webhook, url: x, repeat_after: 5}", "repeat_after"),
        ("{type: pigeon}", "pigeon"),
        ("[", "alerts.yaml"),
    ],
)  # fmt: skip
def test_what_is_wrong_fails_at_load_and_tells_no_secret(tmp_path, text, named):
    with pytest.raises(DeclarationError) as caught:
        declared(tmp_path, text)
    assert str(tmp_path / "alerts.yaml") in str(caught.value)
    assert named in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_secrets_are_found_in_a_file_that_is_wrong_too(tmp_path, monkeypatch):
    monkeypatch.setenv("TEAM_URL", "https://hooks/s3cret")
    monkeypatch.setenv("PORT", "25")
    file = tmp_path / "alerts.yaml"
    file.write_text("team: [ {{ env.TEAM_URL }} {{env.PORT}} {{ env.NOT_SET }}", "utf-8")
    assert secrets(file) == ["https://hooks/s3cret"]
    text = "25 rows: https://hooks/s3cret, postgresql+psycopg2://ann:pass@host/db"
    hidden = "25 rows: ***, postgresql+psycopg2://***@host/db"
    assert without_secrets(text, secrets(file)) == hidden


def test_a_channel_that_breaks_is_not_delivered_rather_than_a_crash(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    with pytest.raises(NotDelivered, match="the channel broke"):
        channels.within(1, lambda: 1 / 0)
