"""What serves now, what served before, and where a rollback would go."""

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError
from mlops_assets.lifecycle.incident.report import Candidate, Event, Rollback, Serving, Span
from mlops_assets.lifecycle.incident.sources import Missing, Sources
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.rollout.changes import verify_files
from mlops_assets.lifecycle.rollout.history import (
    LOAD_FAILED,
    RETIRE,
    SERVES,
    champions,
    former_champion,
    refused_for_good,
    retired,
    under_way,
)

if TYPE_CHECKING:
    from mlops_assets.lifecycle.report_base import MetricEstimate
    from mlops_assets.lifecycle.reports import EvaluationReport, PerformanceReport
    from mlops_assets.lifecycle.rollout.journal import Entry

# The section of the page that says that the registry is away.
REGISTRY = "serving"
VERIFIED = "verified"
MOST_CANDIDATES = 5


def serving_now(sources: Sources, missing: Missing) -> Serving:
    """What serves, since when, on whose word; by the journal where the registry is away."""
    journal, model = sources.journal, sources.spec.name
    served = champions(journal, model)
    champion = served[-1] if served else None
    gone = retired(journal, model)
    with missing.reading(REGISTRY, "the registry"):
        champion = sources.registry.aliases(model).get(CHAMPION)
    change = next((e for e in reversed(done(sources)) if e.action in SERVES), None)
    rollout, cut_off = under_way(journal, model), journal.unfinished(model)
    known = change is not None and champion is not None
    return Serving(
        champion=champion,
        since=datetime.fromisoformat(change.at) if change and known else None,
        who=change.who if change and known else "",
        why=f"{change.action}: {change.why}" if change and known else "",
        challenger=rollout.version if rollout else None,
        share=rollout.share if rollout else None,
        strategy=rollout.strategy if rollout else "",
        retired=f"retired since {gone.at[:16]} by {gone.who}: {gone.why}" if gone else "",
        unfinished=f"{cut_off.action} of v{cut_off.version}, begun {cut_off.at[:16]} by "
        f"{cut_off.who}, was cut off; the next change completes it or takes it back"
        if cut_off
        else "",
        journal=_journal(sources),
    )


def _journal(sources: Sources) -> str:
    try:
        sources.journal.verify()
    except EvidenceError as error:
        return str(error)
    return ""


def done(sources: Sources) -> "list[Entry]":
    """The finished changes of the model, oldest first."""
    return [e for e in sources.journal.entries(sources.spec.name) if e.state == "done"]


def rollback_now(sources: Sources, serving: Serving) -> Rollback:
    """What ``mlops-assets rollback`` would do, by the rules of ``rollout.promotion.rollback``."""
    name = sources.spec.name
    target, words = _target(sources, serving)
    helps = target is not None or bool(serving.unfinished)
    return Rollback(
        command=f"mlops-assets rollback {name} --why 'incident: say what'" if helps else "",
        job=f"{name}_rollback",
        # Dagster's own way to find a job whatever its code location is called.
        job_link=f"{sources.dagster_url}/guess/{name}_rollback",
        target=target,
        words=words,
    )


def _target(sources: Sources, serving: Serving) -> tuple[int | None, str]:
    if serving.unfinished:
        return None, "A change was cut off: a rollback first completes it or takes it back."
    if serving.retired:
        return None, "The model is retired: a rollback is refused until it is reinstated."
    if serving.challenger is not None:
        return serving.champion, (
            f"v{serving.challenger} is on its way ({serving.strategy}, {serving.share:.0%}) and "
            f"would be taken back for good; v{serving.champion} would answer everybody."
        )
    former = former_champion(sources.journal, sources.spec.name, serving.champion)
    if serving.champion is None or former is None:
        return None, "No version before this one was ever in production: there is nothing to go to."
    return former, (
        f"v{former} would be champion again, and v{serving.champion} taken back for good."
    )


def spans(sources: Sources, since: datetime) -> list[Span]:
    """Which version was champion when, from ``since`` to now."""
    found: list[Span] = []
    current: tuple[int, datetime] | None = None

    def close(until: datetime) -> None:
        if current is not None and until > since and current[1] < until:
            found.append(Span(version=current[0], start=max(current[1], since), end=until))

    for entry in done(sources):
        at = datetime.fromisoformat(entry.at)
        if entry.action in SERVES:
            close(at)
            current = entry.version, at
        elif entry.action == RETIRE:
            close(at)
            current = None
    close(sources.now)
    return found


def deployments(sources: Sources, since: datetime) -> list[Event]:
    """Every change of what serves since a moment, oldest first."""
    events = [
        Event(
            at=datetime.fromisoformat(entry.at),
            kind="deployment",
            action="load failed" if entry.action == LOAD_FAILED else entry.action,
            version=entry.version,
            who=entry.who,
            why=entry.why,
        )
        for entry in done(sources)
    ]
    return [event for event in events if event.at >= since]


def candidates(
    sources: Sources,
    serving: Serving,
    target: int | None,
    performances: "list[PerformanceReport]",
    missing: Missing,
) -> list[Candidate]:
    """Versions that were champion and are not now, newest first; the first few are verified."""
    entries = [e for e in done(sources) if e.action in SERVES]
    numbers = list(dict.fromkeys(e.version for e in reversed(entries)))
    others = [n for n in numbers if n != serving.champion or n == target]
    # What a rollback would go to is told first, however long ago it served.
    ordered = sorted(others, key=lambda number: number != target)
    if len(ordered) > MOST_CANDIDATES:
        missing.tell("rollback", f"{len(ordered) - MOST_CANDIDATES} older versions are left out")
    return [
        _candidate(sources, number, number == target, performances, missing)
        for number in ordered[:MOST_CANDIDATES]
    ]


def _candidate(
    sources: Sources,
    number: int,
    target: bool,
    performances: "list[PerformanceReport]",
    missing: Missing,
) -> Candidate:
    realised = [p for p in performances if p.version == number and p.realised is not None]
    newest = realised[-1] if realised else None
    verdict, hold_out = _judged(sources, number, missing)
    back = refused_for_good(sources.journal, sources.spec.name, number)
    gone = retired(sources.journal, sources.spec.name)
    everything = spans(sources, datetime.min.replace(tzinfo=sources.now.tzinfo))
    return Candidate(
        version=number,
        target=target,
        served=[
            f"{s.start:%Y-%m-%d %H:%M} to {s.end:%Y-%m-%d %H:%M}"
            for s in everything
            if s.version == number
        ],
        verdict=verdict,
        hold_out=hold_out,
        realised=newest.realised if newest else None,
        realised_window=newest.window if newest else "",
        files=_files(sources, number, missing),
        taken_back=f"{back.at[:16]} by {back.who}: {back.why}" if back else "",
        retired=f"{gone.at[:16]} by {gone.who}" if gone and gone.version == number else "",
    )


def _judged(sources: Sources, number: int, missing: Missing) -> "tuple[str, MetricEstimate | None]":
    """The gate's verdict on a version, and the watched metric on its hold-out."""
    report = evaluation_of(sources, number, missing)
    if report is not None:
        metric = sources.spec.decay_metric
        found = next((e for e in report.challenger if e.metric == metric), None)
        return report.verdict.verdict, found
    verdict = "not stored"
    with missing.reading("rollback", f"the registry's word on v{number}"):
        tags = sources.registry.version(sources.spec.name, number).tags
        verdict = tags.get("verdict", verdict)
    return verdict, None


def evaluation_of(sources: Sources, number: int, missing: Missing) -> "EvaluationReport | None":
    """The stored evaluation in which a version was the challenger."""
    with missing.reading("rollback", f"the evaluation of v{number}"):
        version = sources.registry.version(sources.spec.name, number)
        window = version.tags.get("window")
        report = sources.report("evaluation_report", window) if window else None
        if report is not None and report.verdict.challenger_version == number:  # type: ignore[attr-defined]
            return report  # type: ignore[return-value]
    return None


def _files(sources: Sources, number: int, missing: Missing) -> str:
    files = "not looked at"
    with missing.reading("rollback", f"v{number}"):
        try:
            verify_files(sources.registry, sources.registry.version(sources.spec.name, number))
            files = VERIFIED
        except ArtifactError as error:
            files = str(error)
    return files
