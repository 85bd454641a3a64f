"""However a request comes over its connection, it gets the same answer."""

import contextlib
import gzip
import http.client
import json
import socket
import threading
import time

import pytest
import uvicorn

from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.serving.app import build_app
from mlops_assets.serving.protocol import Protocol
from mlops_assets_tests.serving.conftest import serves, wait_for

BODY = json.dumps([{"x": 3.0}, {"x": 4.5}]).encode()
EXPECTED = [6.0, 9.0]


@pytest.fixture(scope="module")
def line(bench, client):
    """The address of a server that doubles x, in a fraction of a tick once it is warm."""
    bench.promote(version := bench.line("doubles", 2.0))
    wait_for(serves(client, version))
    for _ in range(3):
        assert client.post("/predict/doubles", content=BODY).status_code == 200
    return client.base_url.host, client.base_url.port


def head(*more: str, path: str = "/predict/doubles", version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", *more, "", ""]
    return "\r\n".join(lines).encode()


LENGTH = f"Content-Length: {len(BODY)}"
CHUNKS = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
PACKED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    "pieces",
    [
        [head(LENGTH) + BODY],
        [head(LENGTH), BODY],
        [head(LENGTH) + BODY[:5], BODY[5:]],
        [bytes([byte]) for byte in head(LENGTH) + BODY],
        [head("Transfer-Encoding: chunked") + CHUNKS],
        [head("Transfer-Encoding: chunked"), CHUNKS[:20], CHUNKS[20:]],
        [head("Content-Encoding: gzip", f"Content-Length: {len(PACKED)}") + PACKED],
        [head(LENGTH, "Expect: 100-continue"), BODY],
        [head(LENGTH, "Expect: 100-continue") + BODY],
        [head(LENGTH, version="1.0") + BODY],
        [head(LENGTH, "Connection: close") + BODY],
        [head(LENGTH, path="/predict/doubl%65s") + BODY],
        [head(LENGTH, path="/predict/doubles?who=me") + BODY],
    ],
    ids=[
        "whole", "head first", "cut body", "bytes", "chunked", "chunks late", "gzip",
        "expects", "expects and sends", "1.0", "close", "escaped", "query",
    ],
)  # fmt: skip
def test_every_way_of_sending_gets_the_same_answer(line, pieces):
    with socket.create_connection(line) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.001)
        reply = http.client.HTTPResponse(sock)
        reply.begin()
        answers = json.loads(reply.read())["predictions"]
    assert reply.status == 200
    assert [answer["prediction"] for answer in answers] == pytest.approx(EXPECTED)
    assert reply.getheader("date")
    assert reply.getheader("x-request-id")


@pytest.mark.parametrize(
    ("sent", "stays"),
    [
        (head(LENGTH), True),
        (head(LENGTH, "Connection: close"), False),
        (head(LENGTH, version="1.0"), False),
    ],
    ids=["1.1", "close", "1.0"],
)
def test_connection_stays_as_the_client_wants(line, sent, stays):
    with socket.create_connection(line, timeout=30) as sock:
        sock.sendall(sent + BODY)
        reply = http.client.HTTPResponse(sock)
        reply.begin()
        reply.read()
        assert (reply.getheader("connection") == "close") is not stays
        if stays:
            sock.sendall(sent + BODY)
            assert sock.recv(15) == b"HTTP/1.1 200 OK"
        else:
            assert sock.recv(1) == b""


def test_pipelined_requests_are_answered_in_their_order(line):
    health = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    bad = head("Content-Length: 1") + b"{"
    asked = [(head(LENGTH) + BODY, 200), (health, 200), (bad, 400), (head(LENGTH) + BODY, 200)] * 50
    with socket.create_connection(line) as sock:
        # Nothing is read before everything is sent.
        sock.sendall(b"".join(request for request, _ in asked))
        stream = sock.makefile("rb")
        for _, status in asked:
            first = stream.readline()
            assert first.startswith(b"HTTP/1.1 %d" % status), first
            headers = http.client.parse_headers(stream)
            stream.read(int(headers["content-length"]))


def test_a_client_that_leaves_harms_nobody(line, client, bench):
    log = PredictionLog(bench.settings.prediction_log)
    before = len(log.read("doubles").records)
    for _ in range(20):
        sock = socket.create_connection(line)
        sock.sendall(head(LENGTH) + BODY)
        sock.close()
    # Whether it was read before the client had left or not, the server goes on.
    assert client.post("/predict/doubles", content=BODY).status_code == 200
    assert len(log.read("doubles").records) >= before + 2
    # The one that asks is under way; the others are not any more.
    wait_for(lambda: "mlops_in_flight 1.0" in client.get("/metrics").text)


def test_idle_connections_are_closed_and_busy_ones_are_not(own_bench):
    own_bench.promote(version := own_bench.line("doubles", 2.0))
    config = uvicorn.Config(
        build_app(own_bench.settings, 0.1), http=Protocol, log_config=None, timeout_keep_alive=1
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        connection = http.client.HTTPConnection(*listener.getsockname())
        with contextlib.closing(connection):
            wait_for(lambda: _asked(connection) == 200)
            # Longer than the limit, and never idle for so long.
            for _ in range(8):
                time.sleep(0.3)
                sock = connection.sock
                assert _asked(connection) == 200
                assert connection.sock is sock
            sock.settimeout(10)
            assert sock.recv(1) == b""
        assert version.number == 1
    finally:
        server.should_exit = True
        thread.join(60)


def _asked(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", "/predict/doubles", BODY)
    reply = connection.getresponse()
    reply.read()
    return reply.status
