"""``mlops-assets compact``: the prediction log's segments move into its database."""

import signal
import sys
import threading
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from mlops_assets.lifecycle.declaration import Duration
from mlops_assets.lifecycle.errors import DeclarationError, LifecycleError
from mlops_assets.lifecycle.settings import Settings


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("compact", help="move the prediction log into its database")
    parser.add_argument(
        "--keep", default="1d", help="delete segments that were stored, this long after (1d)"
    )
    parser.add_argument("--every", type=float, help="again after so many seconds, until stopped")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Compact predictions and labels; 1 when a segment is damaged."""
    settings = Settings.from_environment()
    keep = _duration(options.keep)
    if options.every is None:
        return once(settings, keep)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    code = _tried(settings, keep)
    while not stopped.wait(options.every):
        code = _tried(settings, keep)
    return code


def _tried(settings: Settings, keep: timedelta) -> int:
    try:
        return once(settings, keep)
    except LifecycleError as error:
        # A database that is away comes back; the segments wait.
        print(f"mlops-assets: {error}", file=sys.stderr)
        return 1


def once(settings: Settings, keep: timedelta) -> int:
    """One compaction of both logs, printed in a line each."""
    from mlops_assets.lifecycle.prediction_log.housekeeping import compact_all

    damaged = 0
    for kind, done in compact_all(settings, datetime.now(UTC), keep).items():
        print(
            f"{kind}s: {done.rows} stored, {done.torn} torn lines kept, "
            f"{done.deleted} segments deleted"
        )
        for words in done.damaged:
            print(f"damaged: {words}")
        damaged += len(done.damaged)
    return 1 if damaged else 0


def _duration(text: str) -> timedelta:
    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise DeclarationError(f"--keep: {message}") from None
