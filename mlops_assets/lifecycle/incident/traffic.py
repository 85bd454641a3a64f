"""What was asked, how fast it was answered, and what failed."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import nlargest
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.incident.report import Failure, Traffic, TrafficRow
from mlops_assets.lifecycle.prediction_log import PROBE

if TYPE_CHECKING:
    from mlops_assets.lifecycle.incident.sources import Sources
    from mlops_assets.lifecycle.prediction_log import Record

DEFAULT_BACK = timedelta(days=7)
HOURLY = timedelta(days=3)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
MOST_SPANS = 72
MOST_ROWS = 200
MOST_FAILURES = 20


@dataclass
class _Cell:
    latencies: list[float] = field(default_factory=list)
    errors: int = 0


def traffic(sources: "Sources", since: datetime) -> tuple[Traffic, int]:
    """Requests by version and span of time since a moment, and how many rows are left out.

    By the wall clock of the server, whatever time the rows are about. What a client did wrong
    never reaches a version, and so is not here; the platform's own probes are left out.

    Raises
    ------
    EvidenceError
        When the prediction log is damaged.
    """
    span = _span(sources.now - since)
    cells: dict[tuple[datetime, int, str], _Cell] = defaultdict(_Cell)
    failed: list[Record] = []
    count = 0
    for record in sources.log.logged_since(sources.spec.name, since):
        if record.variant == PROBE:
            continue
        cell = cells[_floor(record.logged_at, since, span), record.version, record.variant]
        cell.latencies.append(record.latency_ms)
        if record.failed:
            cell.errors += 1
            count += 1
            failed.append(record)
            if len(failed) > 50 * MOST_FAILURES:
                failed = nlargest(MOST_FAILURES, failed, key=lambda r: r.logged_at)
    rows = [_row(*key, cell) for key, cell in sorted(cells.items())]
    newest = nlargest(MOST_FAILURES, failed, key=lambda r: r.logged_at)
    made = Traffic(
        since=since,
        span={HOUR: "hour", DAY: "day", WEEK: "week"}[span],
        rows=rows[-MOST_ROWS:],
        failures=[
            Failure(
                prediction_id=r.prediction_id,
                logged_at=r.logged_at,
                version=r.version,
                status=r.status,
                unit=r.unit or "",
            )
            for r in newest
        ],
        failed=count,
    )
    return made, max(0, len(rows) - MOST_ROWS)


def _span(length: timedelta) -> timedelta:
    if length <= HOURLY:
        return HOUR
    return DAY if length <= MOST_SPANS * DAY else WEEK


def _floor(at: datetime, since: datetime, span: timedelta) -> datetime:
    """The start of the span in which a moment lies; hours and days are those of the clock."""
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (at - midnight) // span * span


def _row(start: datetime, version: int, variant: str, cell: _Cell) -> TrafficRow:
    import numpy as np

    p50, p95, p99 = np.percentile(cell.latencies, (50, 95, 99)).tolist()
    return TrafficRow(
        start=start,
        version=version,
        variant=variant,
        answers=len(cell.latencies),
        errors=cell.errors,
        p50=p50,
        p95=p95,
        p99=p99,
    )
