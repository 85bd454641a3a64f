"""When a drift or performance report may start a retrain: rules that can't run away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from mlops_assets.lifecycle.window import UNPARTITIONED

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec

WEEK = timedelta(days=7)
TRIGGERS = {"drifted": "drift", "decayed": "decay"}


@dataclass(frozen=True)
class PastRetrain:
    """A retrain that was started.

    Parameters
    ----------
    at : datetime
        When it was started (aware).
    trigger : {"drift", "decay", "schedule", "manual"}
    report_id : str or None
        The report that asked for it.
    window : str or None
        The window of that report.
    state : {"running", "succeeded", "failed", "rejected"}
        ``rejected``: a model was trained, and the gate refused it.
    """

    at: datetime
    trigger: Literal["drift", "decay", "schedule", "manual"]
    report_id: str | None
    window: str | None
    state: Literal["running", "succeeded", "failed", "rejected"]


@dataclass(frozen=True)
class Request:
    """Start a retrain; whoever starts it must start each ``run_key`` once only."""

    run_key: str
    window: str
    reason: str


@dataclass(frozen=True)
class Skip:
    """Start none, and say why."""

    reason: str


def decide(
    spec: "ModelSpec",
    now: datetime,
    window_key: str,
    report_id: str,
    verdict: str,
    reason: str,
    past: list[PastRetrain],
) -> Request | Skip:
    """Whether a report starts a retrain.

    Retrains that a schedule or a report started count towards the cooldown, those that a person
    started do not; only those that reports asked for count towards ``max_per_week``, so that a
    schedule doesn't use it up.

    Parameters
    ----------
    spec : ModelSpec
    now : datetime
        Aware.
    window_key, report_id, verdict, reason : str
        Of the drift or performance report.
    past : list of PastRetrain
        Of this model, in any order. One that claims to be of the future (a clock that is wrong)
        counts as started now.

    Raises
    ------
    ValueError
        On a verdict that no report has.
    """
    trigger = TRIGGERS.get(verdict)
    if trigger is None:
        return Skip(_no_alarm(verdict, reason))
    if trigger not in spec.retrain.on:
        declared = ", ".join(spec.retrain.on) or "empty"
        return Skip(f"{verdict}, and retrain.on is {declared}: {reason}")
    refusal = (
        _asked_before(report_id, past)
        or _under_way(past)
        or _window_tried(window_key, past)
        or _cooling(spec, now, past)
        or _budget_spent(spec, now, past)
    )
    if refusal is not None:
        return Skip(refusal)
    return Request(f"{spec.name}:{trigger}:{report_id}", window_key, reason)


def _no_alarm(verdict: str, reason: str) -> str:
    if verdict == "broken":
        return f"fix the data: {reason}"
    if verdict == "insufficient_data":
        return f"not enough data to tell: {reason}"
    if verdict in ("stable", "healthy"):
        return f"nothing to do: {verdict}"
    raise ValueError(f"no report has the verdict {verdict!r}")


def _asked_before(report_id: str, past: list[PastRetrain]) -> str | None:
    if any(p.report_id == report_id for p in past):
        return f"report {report_id} has already started a retrain"
    return None


def _under_way(past: list[PastRetrain]) -> str | None:
    for retrain in past:
        if retrain.state == "running":
            return f"a retrain is under way since {retrain.at:%Y-%m-%d %H:%M}"
    return None


def _window_tried(window_key: str, past: list[PastRetrain]) -> str | None:
    tried = [p for p in past if p.window == window_key and p.trigger in TRIGGERS.values()]
    # Without windows every report has the same key, and a new one may well be news.
    tried = [p for p in tried if window_key != UNPARTITIONED or p.state != "succeeded"]
    if not tried:
        return None
    last = max(tried, key=lambda p: p.at)
    if last.state == "succeeded":
        return f"window {window_key} was retrained after {last.trigger}; the next one will tell"
    return (
        f"a retrain on window {window_key} after {last.trigger} was {last.state}: asks a person, "
        "because the same data would give the same model"
    )


def _cooling(spec: "ModelSpec", now: datetime, past: list[PastRetrain]) -> str | None:
    started = [min(p.at, now) for p in past if p.trigger != "manual"]
    if not started:
        return None
    end = max(started) + spec.retrain.cooldown
    return f"cooling down until {end:%Y-%m-%d %H:%M}" if now < end else None


def _budget_spent(spec: "ModelSpec", now: datetime, past: list[PastRetrain]) -> str | None:
    recent = [p for p in past if p.trigger in TRIGGERS.values() and min(p.at, now) > now - WEEK]
    if len(recent) < spec.retrain.max_per_week:
        return None
    return (
        f"{len(recent)} retrains after drift or decay in 7 days, and retrain.max_per_week is "
        f"{spec.retrain.max_per_week}: asks a person"
    )
