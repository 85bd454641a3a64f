"""What a prediction request goes through, whichever way it reached the server."""

import itertools
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from mlops_assets.lifecycle.endpoint import PROBE_HEADER
from mlops_assets.lifecycle.prediction_log import PROBE
from mlops_assets.serving.answers import Answered
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.forms import INFER, INVOCATIONS, JSON, PREDICT, Form, Headers, Readers
from mlops_assets.serving.gate import Gate
from mlops_assets.serving.keys import Key, check_scope
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.models import Models, Routed
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.scoring import Scorer, Writer

_PROBE = PROBE_HEADER.encode()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)

AfterAnswer = Callable[[Routed, Rows, Answered], None]
# Status, headers and body.
Reply = tuple[int, list[tuple[bytes, bytes]], bytes]

_NONE = Rows((), 0, [])

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where predictions are asked: in which form, of which model."""

    form: Form
    model: str
    version: str | None = None


class Bound:
    """One version in one role, with everything its requests touch."""

    def __init__(self, routed: Routed, writer: Writer, metrics: Metrics):
        self.routed = routed
        self.readers = Readers(routed.model)
        version = routed.model.version
        self.metrics = metrics.of(version.model, version.number, routed.variant)
        self.scorer = Scorer(routed, writer, self.metrics)


class Asked:
    """One request under way, and what is known of it.

    Parameters
    ----------
    method, path : str
    headers : mapping of bytes to bytes
    request_id : str
    """

    __slots__ = (
        "address", "arrived", "bound", "headers", "key", "method", "path", "request_id", "rows",
        "wanted",
    )  # fmt: skip

    def __init__(self, method: str, path: str, headers: Headers, request_id: str):
        self.arrived = time.perf_counter()
        self.method, self.path = method, path
        self.headers, self.request_id = headers, request_id
        self.address: Address | None = None
        self.bound: Bound | None = None
        self.key: Key | None = None
        self.rows = _NONE
        self.wanted: Any = None


class Predictions:
    """Reads, routes, scores and answers; knows nothing of connections.

    Parameters
    ----------
    models : Models
    writer : Writer
        The prediction log.
    gate : Gate
    metrics : Metrics
    most_in_flight : int
    after_answer : callable or None
        Called with the version, rows and answers of each prediction.
    """

    def __init__(
        self,
        models: Models,
        writer: Writer,
        gate: Gate,
        metrics: Metrics,
        most_in_flight: int,
        after_answer: AfterAnswer | None = None,
    ):
        self._models = models
        self._log = writer
        self._gate = gate
        self._metrics = metrics
        self._most = most_in_flight
        self._after_answer = after_answer
        self._bounds: dict[tuple[int, str], Bound] = {}
        self.in_flight = 0
        metrics.in_flight.set_function(lambda: self.in_flight)
        prefix = os.urandom(6).hex()
        self._ids = (f"{prefix}-{number:x}" for number in itertools.count())

    def request_id(self, headers: Headers) -> str:
        """The client's own id for a request, where it is harmless, else a new one."""
        sent = headers.get(b"x-request-id")
        if sent is not None and _REQUEST_ID.fullmatch(sent):
            return sent.decode()
        return next(self._ids)

    def refuse_overload(self) -> None:
        """RequestError 503 when too much is under way."""
        if self.in_flight > self._most:
            raise RequestError(503, f"{self._most} requests are under way already")

    def admit(self, asked: Asked) -> None:
        """Let a request in by its headers, or raise RequestError."""
        asked.key = self._gate.admit(asked.headers)

    def bind(self, asked: Asked, address: Address) -> Bound:
        """Find who answers a request, before its body is known.

        Raises
        ------
        RequestError
            For a key without the right, a model that is not served, or headers that the form of
            the request does not allow.
        """
        asked.address = address
        if asked.key is not None:
            check_scope(asked.key, "predict", address.model)
            if _PROBE in asked.headers:
                check_scope(asked.key, "probe")
        asked.bound = bound = self._bind(self._route(address, None), asked)
        address.form.check(asked.headers)
        return bound

    def read(self, asked: Asked, body: bytes) -> None:
        """Read the body with the eyes of who answers; `asked` has the rows then.

        Raises
        ------
        RequestError
            Saying what is wrong and where.
        """
        address, bound = asked.address, asked.bound
        assert address is not None
        assert bound is not None
        self._read(asked, bound, body)
        unit = asked.rows.unit
        # Who names no unit was routed by chance already.
        chosen = bound.routed if unit is None else self._route(address, unit)
        if chosen is bound.routed or chosen == bound.routed:
            return
        asked.bound = other = self._bind(chosen, asked)
        if chosen.model.serving != bound.routed.model.serving:
            self._read(asked, other, body)

    def reply(self, asked: Asked, answered: Answered) -> Reply:
        """The reply to a request whose answers are in the log."""
        assert asked.address is not None
        assert asked.bound is not None
        bound, form = asked.bound, asked.address.form
        headers, content = form.reply(bound.routed.model, answered, asked.wanted, asked.request_id)
        return 200, headers, content

    def answered(self, asked: Asked, answers: Answered) -> None:
        """Count a prediction whose reply has left."""
        assert asked.bound is not None
        bound = asked.bound
        bound.metrics.answered(time.perf_counter() - asked.arrived)
        if self._after_answer is not None:
            self._after_answer(bound.routed, asked.rows, answers)

    def refusal(self, asked: Asked, error: Exception) -> Reply:
        """The reply to a request that got no prediction; it is counted and logged."""
        if isinstance(error, RequestError):
            status, message, headers = error.status, error.message, dict(error.headers)
        else:
            log.error(
                "request %s to %s failed", asked.request_id, asked.path, exc_info=error,
                extra={"request_id": asked.request_id},
            )  # fmt: skip
            status, headers = 500, {}
            message = f"internal error; the server's log has it as request {asked.request_id}"
        self._refused(asked, status)
        extra = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return status, [JSON, *extra], _error_body(message)

    def _read(self, asked: Asked, bound: Bound, body: bytes) -> None:
        assert asked.address is not None
        asked.rows, asked.wanted = asked.address.form.rows(
            bound.routed.model, bound.readers, body, asked.headers
        )

    def _route(self, address: Address, unit: str | None) -> Routed:
        if address.version is None:
            return self._models.route(address.model, unit)
        return self._models.version(address.model, address.version)

    def _bind(self, routed: Routed, asked: Asked) -> Bound:
        variant = PROBE if _PROBE in asked.headers else routed.variant
        known = self._bounds.get((id(routed.model), variant))
        if known is not None:
            return known
        loaded = self._models.loaded()
        self._bounds = {place: b for place, b in self._bounds.items() if place[0] in loaded}
        bound = Bound(Routed(routed.model, variant), self._log, self._metrics)
        self._bounds[id(routed.model), variant] = bound
        return bound

    def _refused(self, asked: Asked, status: int) -> None:
        bound = asked.bound
        if address_of(asked.path) is not None:
            # Only names that are served become labels: a client can't make up new ones.
            version = bound.routed.model.version if bound else None
            self._metrics.refused(
                version.model if version else "",
                str(version.number) if version else "",
                bound.routed.variant if bound else "",
                status,
            )
        log.log(
            logging.WARNING if status >= 500 else logging.INFO,
            "refused",
            extra={
                "request_id": asked.request_id,
                "method": asked.method,
                "path": asked.path[:200],
                "status": status,
                "milliseconds": round((time.perf_counter() - asked.arrived) * 1000, 3),
                "key": asked.key.name if asked.key else None,
            },
        )


def address_of(path: str) -> Address | None:
    """The address of predictions that a path is, or None for any other."""
    parts = path.split("/")
    match parts[1:]:
        case ["predict", model] if model:
            return Address(PREDICT, model)
        case ["predict", model, "versions", version] if model and version:
            return Address(PREDICT, model, version)
        case ["v2", "models", model, "infer"] if model:
            return Address(INFER, model)
        case ["v2", "models", model, "invocations"] if model:
            return Address(INVOCATIONS, model)
        case ["v2", "models", model, "versions", version, "infer"] if model and version:
            return Address(INFER, model, version)
        case _:
            return None


def _error_body(message: str) -> bytes:
    try:
        return msgspec.json.encode({"error": message})
    except UnicodeEncodeError:
        # A client's field name may hold half a surrogate pair.
        return msgspec.json.encode({"error": message.encode("ascii", "replace").decode()})
