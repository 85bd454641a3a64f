"""A made-up service whose prediction log a rollout is judged by."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from mlops_assets.lifecycle.prediction_log import Record

CHAMPION, CANARY = 1, 2
START = datetime(2026, 11, 2, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Side:
    """How one version behaves; latencies are log-normal, scores uniform to a power."""

    errors: float = 0.05
    slower: float = 1.0
    power: float = 1.0


def record(at, variant="champion", version=None, *, unit=None, status=200, **other) -> Record:
    """One answer; ``at`` in seconds from START."""
    if version is None:
        version = CHAMPION if variant in ("champion", "probe") else CANARY
    logged_at = START + timedelta(seconds=at)
    fields = {
        # A hyphen stands before the number of a request's row.
        "prediction_id": f"{variant}/{at}/{unit}".replace("-", "~"),
        "answer": {"prediction": 0, "score": 0.5} if status < 500 else {},
        "latency_ms": 1.0,
        **other,
    }
    return Record(
        model="m",
        version=version,
        run_id="r",
        unit=unit,
        at=logged_at,
        logged_at=logged_at,
        features={},
        key={},
        variant=variant,
        status=status,
        **fields,
    )


def service(rng, requests, seconds, *, share=0.0, start=0.0, champion=None, canary=None, **options):
    """Records of a stretch of traffic, each request from a unit of its own.

    Parameters
    ----------
    rng : numpy Generator
    requests : int
    seconds : float
    share : float
        Of the canary's requests; with ``shadow=True`` all are answered by both.
    start : float
        Seconds from START.
    champion, canary : Side
    """
    champion, canary = champion or Side(), canary or Side()
    shadow = options.get("shadow", False)
    at = start + np.sort(rng.uniform(0, seconds, requests))
    ours = rng.random(requests) < share
    records = []
    for i in range(requests):
        sides = [("canary", canary)] if ours[i] else [("champion", champion)]
        sides += [("shadow", canary)] if shadow else []
        for variant, side in sides:
            failed = rng.random() < side.errors
            score = rng.random() ** side.power
            records.append(
                record(
                    at[i],
                    variant,
                    unit=f"{start}-{i}",
                    status=500 if failed else 200,
                    answer={} if failed else {"prediction": int(score > 0.5), "score": score},
                    latency_ms=float(rng.lognormal(1, 0.4)) * side.slower,
                )
            )
    return records


def past(rng, requests=1000):
    """The champion's hour before the rollout."""
    return service(rng, requests, 3600, start=-3600.0)
