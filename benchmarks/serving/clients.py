"""Clients that ask one server for some seconds over keep-alive connections."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

WRK = shutil.which("wrk")
_IDS = re.compile(rb'"prediction_id":"([^"]+)"')

# %r of Python is no Lua string; [==[ ]==] takes everything but itself.
LUA = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [==[{body}]==]
function done(summary, latency, requests)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write
  io.write(string.format('\\nRESULT {{"answered": %d, "microseconds": %d, "bad": %d}}\\n',
    summary.requests, summary.duration, bad + summary.errors.status + summary.errors.timeout))
end
"""


@dataclass
class Asked:
    """What a client saw."""

    answered: int = 0
    seconds: float = 0.0
    ids: list[str] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)  # of `time.monotonic`
    failures: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def with_wrk(port: int, path: str, body: str, connections: int, seconds: int, work: Path) -> Asked:
    """Ask with wrk, which uses little of the processors; every answer must be a good one.

    Requests that are under way at its end are not counted: too few to matter on a fast server.
    """
    script = work / "post.lua"
    script.write_text(LUA.format(body=body), "utf-8")
    printed = subprocess.run(
        [WRK, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
         f"http://127.0.0.1:{port}{path}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = json.loads(printed.rsplit("RESULT ", 1)[1])
    if found["bad"] or not found["answered"]:
        raise RuntimeError(f"{path}: {printed}")
    return Asked(found["answered"], found["microseconds"] / 1e6)


def with_asyncio(
    port: int, path: str, body: str, connections: int, seconds: float, keep: bool = False
) -> Asked:
    """Ask from this process; each connection waits for its last answer.

    Parameters
    ----------
    keep : bool
        Keep ids, times and failures; else an answer that is not 200 raises.
    """
    return asyncio.run(_ask(port, path, body, connections, seconds, keep))


async def _ask(
    port: int, path: str, body: str, connections: int, seconds: float, keep: bool
) -> Asked:
    request = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    asked = Asked()
    started = time.monotonic()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() - started < seconds:
            begun = time.monotonic()
            writer.write(request)
            try:
                status, answer = await _answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                status, answer = b"no answer", repr(error).encode()
            if b" 200" not in status:
                asked.failures.append(f"{status!r} {answer[:200]!r}")
                break
            asked.answered += 1
            if keep:
                asked.spans.append((begun, time.monotonic()))
                asked.ids += [found.decode() for found in _IDS.findall(answer)]
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    asked.seconds = time.monotonic() - started
    if asked.failures and not keep:
        raise RuntimeError(f"{path}: {asked.failures[0]}")
    return asked


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, *headers = head.split(b"\r\n")
    named = dict(line.split(b":", 1) for line in headers if line)
    if b"content-length" in named:
        return status, await reader.readexactly(int(named[b"content-length"]))
    chunks = []
    while size := int(await reader.readline(), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return status, b"".join(chunks)
