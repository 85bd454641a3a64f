"""When a drift or performance report may start a retrain: rules that can't run away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from mlops_assets.lifecycle.advice.report import Action
from mlops_assets.lifecycle.window import UNPARTITIONED

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec

Trigger = Literal["drift", "decay"]
WEEK = timedelta(days=7)
TRIGGERS = ("drift", "decay")
CALM = ("stable", "healthy", "insufficient_data")
ALARMS = ("drifted", "decayed", "broken")
# Beyond, a wait is longer than anybody waits; before, it may overflow.
MOST_DOUBLINGS = 10


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
    number : int
        In which order they were recorded, where that is known: clocks may be wrong.
    """

    at: datetime
    trigger: Literal["drift", "decay", "schedule", "manual"]
    report_id: str | None
    window: str | None
    state: Literal["running", "succeeded", "failed", "rejected"]
    number: int = 0


@dataclass(frozen=True)
class Finding:
    """What a report found, and what the advisor makes of it.

    Parameters
    ----------
    trigger : {"drift", "decay"}
        Which sensor read it.
    window, report_id, verdict : str
        Of the report.
    action : {"leave", "recalibrate", "refit", "fix_the_data"} or None
        Of the advice that was made from this very report; None where there is none.
    words : str
        The advice's reasons, or why there is none.
    newer : str or None
        The newest window with a verdict of its own, if it is newer than this one.
    answered_by : {"drift", "decay"} or None
        The sensor that answers for the window; None: this one.
    """

    trigger: Trigger
    window: str
    report_id: str
    verdict: str
    action: Action | None
    words: str
    needs_person: bool = False
    newer: str | None = None
    answered_by: Trigger | None = None

    @property
    def alarming(self) -> bool:
        """Whether there is anything to answer."""
        return self.verdict in ALARMS or self.action not in (None, "leave")

    @property
    def mine(self) -> bool:
        """Whether the sensor that read it answers for the window."""
        return self.answered_by in (None, self.trigger)

    def __str__(self) -> str:
        return f"{self.verdict}; advice: {self.action or 'none'} ({self.words})"


@dataclass(frozen=True)
class Request:
    """Start a retrain; whoever starts it must start each ``run_key`` once only."""

    run_key: str
    window: str
    reason: str
    action: Action


@dataclass(frozen=True)
class Skip:
    """Start none, and say why.

    ``tells`` is the kind of alert for people: ``alarm``, ``data`` or ``escalation``; None: nobody
    is called, the reason stands in the UI.
    """

    reason: str
    tells: Literal["alarm", "data", "escalation"] | None = None


def decide(
    spec: "ModelSpec", now: datetime, found: Finding, past: list[PastRetrain]
) -> Request | Skip:
    """Whether a report starts a retrain, and who hears of it.

    Retrains that a schedule or a report started count towards the cooldown, those that a person
    started do not; only those that reports asked for count towards ``max_per_week``, so that a
    schedule doesn't use it up. Each retrain in a row that the gate refused doubles the cooldown;
    after ``give_up_after`` of them no report starts another until a gate passed or a person
    started a retrain.

    Parameters
    ----------
    spec : ModelSpec
    now : datetime
        Aware.
    found : Finding
    past : list of PastRetrain
        Of this model, in any order. One that claims to be of the future (a clock that is wrong)
        counts as started now.

    Raises
    ------
    ValueError
        On a verdict that no report has.
    """
    if found.verdict not in (*ALARMS, *CALM):
        raise ValueError(f"no report has the verdict {found.verdict!r}")
    skip = (
        _answered_elsewhere(spec, found)
        or _nothing_to_retrain_for(found)
        or _not_news(spec, found)
        or _asked_before(found, past)
        or _given_up(spec, past)
    )
    if skip is not None:
        return skip
    refusal = (
        _under_way(past)
        or _window_tried(found.window, past)
        or _cooling(spec, now, past)
        or _budget_spent(spec, now, past)
    )
    if refusal is not None:
        return Skip(refusal, "alarm")
    assert found.action is not None
    run_key = f"{spec.name}:{found.trigger}:{found.report_id}"
    return Request(run_key, found.window, found.words, found.action)


def answering(drift_verdict: str, performance_verdict: str, on: tuple[str, ...]) -> Trigger:
    """Which sensor answers for a window: one of the two, or it would be retrained twice.

    Labels outweigh drift where there are any, so the performance report's does. It does not where
    ``retrain.on`` leaves decay out and the traffic drifted.
    """
    judged = performance_verdict != "insufficient_data"
    return "decay" if judged and ("decay" in on or drift_verdict in CALM) else "drift"


def _answered_elsewhere(spec: "ModelSpec", found: Finding) -> Skip | None:
    if found.mine or not found.alarming:
        return None
    return Skip(f"{found.verdict}; {spec.name}_on_{found.answered_by} answers for the window")


def _nothing_to_retrain_for(found: Finding) -> Skip | None:
    if found.action == "fix_the_data" or found.verdict == "broken":
        return Skip(f"fix the data, no retrain on it: {found.words}", "data")
    if not found.alarming:
        if found.verdict == "insufficient_data":
            return Skip(f"not enough data to tell: {found.words}")
        return Skip(f"nothing to do: {found.verdict}")
    if found.action is None:
        return Skip(f"{found.verdict}, and no advice says what to do: {found.words}", "alarm")
    if found.action == "leave":
        tells: Literal["alarm"] | None = "alarm" if found.needs_person else None
        return Skip(f"{found.verdict}, and the advice is to leave it: {found.words}", tells)
    return None


def _not_news(spec: "ModelSpec", found: Finding) -> Skip | None:
    if found.newer is not None:
        return Skip(f"{found.verdict}, and old news: window {found.newer} has a verdict already")
    if found.trigger not in spec.retrain.on:
        declared = ", ".join(spec.retrain.on) or "empty"
        return Skip(f"{found.verdict}, and retrain.on is {declared}: {found.words}", "alarm")
    return None


def refused_in_a_row(past: list[PastRetrain]) -> int:
    """How many of the newest retrains that reports asked for the gate refused.

    A gate that passed, whatever asked for the training, begins a new count, and so does a person
    who trains. A crash is neither.
    """
    since = _since_the_last_good(past)
    return sum(p.trigger in TRIGGERS and p.state == "rejected" for p in since)


def _since_the_last_good(past: list[PastRetrain]) -> list[PastRetrain]:
    newest_first = sorted(past, key=lambda p: (p.number, p.at), reverse=True)
    return list(takewhile(lambda p: p.trigger != "manual" and p.state != "succeeded", newest_first))


def _given_up(spec: "ModelSpec", past: list[PastRetrain]) -> Skip | None:
    refused = refused_in_a_row(past)
    if refused < spec.retrain.give_up_after:
        return None
    return Skip(
        f"the gate refused {refused} retrains in a row (retrain.give_up_after is "
        f"{spec.retrain.give_up_after}): no more by itself until a person has trained with the job "
        f"{spec.name}_lifecycle, or a gate passed",
        "escalation",
    )


def _asked_before(found: Finding, past: list[PastRetrain]) -> Skip | None:
    # As after a crash between the start of a run and the note that it was started.
    if any(p.report_id == found.report_id for p in past):
        return Skip(f"report {found.report_id} has already started a retrain")
    return None


def _under_way(past: list[PastRetrain]) -> str | None:
    for retrain in past:
        if retrain.state == "running":
            return f"a retrain is under way since {retrain.at:%Y-%m-%d %H:%M}"
    return None


def _window_tried(window_key: str, past: list[PastRetrain]) -> str | None:
    tried = [p for p in past if p.window == window_key and p.trigger in TRIGGERS]
    # Without windows every report has the same key, and a new one may well be news.
    if window_key == UNPARTITIONED:
        tried = [p for p in _since_the_last_good(past) if p in tried and p.state == "failed"]
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
    refused = refused_in_a_row(past)
    end = max(started) + spec.retrain.cooldown * 2 ** min(refused, MOST_DOUBLINGS)
    if now >= end:
        return None
    why = f", doubled for each of {refused} the gate refused" if refused else ""
    return f"cooling down until {end:%Y-%m-%d %H:%M}{why}"


def _budget_spent(spec: "ModelSpec", now: datetime, past: list[PastRetrain]) -> str | None:
    recent = [p for p in past if p.trigger in TRIGGERS and min(p.at, now) > now - WEEK]
    if len(recent) < spec.retrain.max_per_week:
        return None
    return (
        f"{len(recent)} retrains after drift or decay in 7 days, and retrain.max_per_week is "
        f"{spec.retrain.max_per_week}: asks a person"
    )
