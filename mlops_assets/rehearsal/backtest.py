"""The loop over history under three policies, and what each was worth."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.fingerprint import digest_of
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.rehearsal.answers import Answers, answers_of
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.differences import kpi_differences, metric_difference
from mlops_assets.rehearsal.home import alone, is_empty, made
from mlops_assets.rehearsal.outcome import outcome
from mlops_assets.rehearsal.policies import (
    ALWAYS,
    ASSUMPTIONS,
    DECLARED,
    NEVER,
    POLICIES,
    played,
    under,
)
from mlops_assets.rehearsal.replay import Replay
from mlops_assets.rehearsal.report import BacktestReport, PolicyOutcome
from mlops_assets.rehearsal.truth import changes_seen, declared_changes, judged
from mlops_assets.rehearsal.world import Span, bring_data, first_champion, span_of
from mlops_assets.resources import FrameIOManager

REQUEST_FILE = "backtest.json"
REPORT_FILE, PAGE_FILE, PLOT_FILE = "report.json", "report.html", "plot.png"
RIVALS = ((DECLARED, NEVER), (DECLARED, ALWAYS))


@dataclass(frozen=True)
class Request:
    """What is to be played.

    Parameters
    ----------
    spec : ModelSpec
    folder : Path
        Where the declaration lies.
    first, last : str
        Keys of the first and the last window.
    home : Path
        Of the copies, of the report: one backtest's own.
    truth : sequence of str
        Windows from which the world changed; empty to read them from the policy ``never``.
    production : FrameIOManager or None
        Where raw windows are taken from; None to read all from the source.
    """

    spec: ModelSpec
    folder: Path
    first: str
    last: str
    home: Path
    truth: Sequence[str] = ()
    production: FrameIOManager | None = None

    @property
    def question(self) -> str:
        """A digest of all that decides what is played."""
        return digest_of(self.spec, self.first, self.last, self.production is None)


def backtest(request: Request, now: datetime, tell: Callable[[str], None]) -> BacktestReport:
    """Play the windows under every policy and report; goes on where it was cut off.

    Parameters
    ----------
    now : datetime
        Nothing later is played (aware).
    tell : callable
        Gets a line about each step.

    Raises
    ------
    DeclarationError
        When the model or the windows can't be played.
    EvidenceError
        When data are missing, the first model is refused, or the home has another backtest.
    """
    spec = played(request.spec)
    span = span_of(spec, request.first, request.last, now)
    declared_changes(request.truth, span.played)
    end = _claim(request, span.end)
    with alone(request.home):
        report = _played(request, spec, span, end, tell)
        _write(request.home, report)
    return report


def _played(
    request: Request, spec: ModelSpec, span: Span, end: datetime, tell: Callable[[str], None]
) -> BacktestReport:
    first = _copy(request, spec, "first")
    data = bring_data(first, span, request.production, tell)
    judgement = first_champion(first, span)
    counts = _counted(request.home, data, span)
    outcomes, answers = {}, {}
    for policy in POLICIES:
        copy = _copy(request, under(policy, spec), policy)
        copy.begin_from(first)
        state = Replay(copy, span.played, end, _named(policy, tell)).play()
        answers[policy] = {w.key: answers_of(copy, w.key, end) for w in span.played}
        outcomes[policy] = outcome(policy, copy, state, span.played, answers[policy])
    return _report(request, spec, span, judgement, outcomes, answers, counts)


def _named(policy: str, tell: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: tell(f"{policy}: {line}")


def _copy(request: Request, spec: ModelSpec, name: str) -> Copy:
    home = request.home.absolute()
    return Copy(home / name, home / "world", home / "artifacts", spec, request.folder)


def _claim(request: Request, end: datetime) -> datetime:
    """Take the home for this backtest, and no other; until when it is played.

    Played on later, it ends when it was going to end.
    """
    file = request.home / REQUEST_FILE
    if file.exists():
        known = json.loads(file.read_text("utf-8"))
        if known["question"] != request.question:
            raise EvidenceError(
                f"{request.home} has another backtest ({known['words']}): the declaration, the "
                "windows or the source of its data differ; choose another --home"
            )
        return datetime.fromisoformat(known["end"])
    if not is_empty(request.home):
        raise EvidenceError(
            f"{request.home} is not empty and has no backtest: choose another --home"
        )
    made(request.home)
    words = f"{request.spec.name} {request.first} to {request.last}"
    spare = file.with_name(f".{file.name}")
    stated = {"question": request.question, "words": words, "end": end.isoformat()}
    spare.write_text(json.dumps(stated), "utf-8")
    spare.replace(file)
    return end


def _counted(home: Path, data: dict[str, list[str]], span: Span) -> dict[str, int]:
    """Windows by where their data came from, over all calls that it took."""
    file = home / "data.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    known = {name: sorted({*known.get(name, []), *keys}) for name, keys in data.items()}
    file.write_text(json.dumps(known), "utf-8")
    return {name: len(keys) for name, keys in known.items()} | {"played": len(span.played)}


def _report(
    request: Request,
    spec: ModelSpec,
    span: Span,
    judgement: EvaluationReport,
    outcomes: dict[str, PolicyOutcome],
    answers: dict[str, dict[str, Answers]],
    data: dict[str, int],
) -> BacktestReport:
    hold_out = next(e for e in judgement.challenger if e.metric == spec.decay_metric)
    decay = spec.monitoring.decay
    drop = decay.drop if decay is not None else spec.gate.margin
    changes, source, words = changes_seen(outcomes[NEVER], hold_out, drop)
    if request.truth:
        changes, source = declared_changes(request.truth, span.played), "declared"
        words = "as whoever asked for the backtest said"
    if source != "unknown":
        outcomes = {p: judged(found, changes, span.played) for p, found in outcomes.items()}
    differences = []
    for ours, theirs in RIVALS:
        differences.append(metric_difference(spec, ours, theirs, answers))
        differences += kpi_differences(spec, outcomes[ours], outcomes[theirs])
    home = request.home.absolute()
    return BacktestReport(
        model=spec.name,
        first=request.first,
        last=request.last,
        trained_for=span.first.key,
        metric=spec.decay_metric,
        hold_out=hold_out,
        drop=drop,
        level=1 - spec.gate.alpha,
        changes=changes,
        changes_from=source,
        changes_words=words,
        policies=list(outcomes.values()),
        differences=differences,
        assumptions=list(ASSUMPTIONS),
        data=data,
        home=str(home),
        html=str(home / PAGE_FILE),
        plot=str(home / PLOT_FILE),
        created_at=datetime.now(UTC),
    )


def _write(home: Path, report: BacktestReport) -> None:
    from mlops_assets.rehearsal.page import page, plot

    figure = plot(report)
    figure.savefig(home / PLOT_FILE, dpi=110, bbox_inches="tight")
    (home / PAGE_FILE).write_text(page(report, figure), "utf-8")
    (home / REPORT_FILE).write_text(report.model_dump_json(indent=1), "utf-8")
