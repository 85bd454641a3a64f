"""The model card of a version, from its lineage.

Sections follow Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019). What only a person
knows (intended use, limits) comes from the declaration's key ``card``; all else from the record of
the training, the evaluation report and the rollout journal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.contract import describe
from mlops_assets.lifecycle.digits import digits
from mlops_assets.lifecycle.markdown import escaped
from mlops_assets.lifecycle.reports import EvaluationReport, MetricEstimate, TrainedModel
from mlops_assets.lifecycle.rollout.journal import Entry

if TYPE_CHECKING:
    from mlops_assets.lifecycle.explaining.results import Spread
    from mlops_assets.lifecycle.spec import ModelSpec

TOP = 10
NONE = "none"
# Rules whose parts are groups of people or slices of the data: what a card is asked for.
GROUPED = ("fairness", "slices")


@dataclass(frozen=True)
class Section:
    """A part of a card: sentences, facts by name, and a table."""

    title: str
    text: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class ModelCard:
    """What a person has to know of one version before using it."""

    model: str
    version: int
    sections: tuple[Section, ...] = field(default_factory=tuple)

    def markdown(self, most: int | None = None) -> str:
        """The card as Markdown, with everything escaped.

        Parameters
        ----------
        most : int or None
            Characters; whole sections are left out at the end where it would be longer.
        """
        text = f"# {escaped(self.model)}, version {self.version}\n"
        for section in self.sections:
            more = _markdown(section)
            if most is not None and len(text) + len(more) > most:
                break
            text += more
        return text

    def html(self) -> str:
        """The card as a page of its own."""
        from mlops_assets.lifecycle.report_html.page import render

        return render("card.html", card=self)


def model_card(
    spec: "ModelSpec",
    trained: TrainedModel,
    report: EvaluationReport | None,
    journal: Sequence[Entry],
    judged: str | None = None,
) -> ModelCard:
    """The card of the version that ``trained`` is the record of.

    Parameters
    ----------
    report : EvaluationReport or None
        The version's own evaluation; None where it was not judged yet, or its report was replaced.
    journal : sequence of Entry
        The model's rows of the rollout journal.
    judged : str or None
        The version's verdict, for a version whose report was replaced.
    """
    sections = [
        _purpose(spec),
        _limits(spec, report),
        _verdict(report, judged),
        *_measured(report),
        _data(spec, trained),
        _contract(spec),
        _estimator(trained),
        _decisions(journal, trained.version),
        _origin(trained),
    ]
    return ModelCard(trained.model, trained.version, tuple(sections))


def _purpose(spec: "ModelSpec") -> Section:
    return Section(
        "Purpose",
        text=tuple(t for t in (spec.description, spec.card.intended_use) if t)
        or ("No purpose is declared (keys description and card.intended_use).",),
        facts=(
            ("task", spec.task.replace("_", " ")),
            ("owners", ", ".join(spec.owners) or "none declared"),
            ("cadence", spec.cadence),
        ),
    )


def _limits(spec: "ModelSpec", report: EvaluationReport | None) -> Section:
    said = [f"Not to be used for: {use}" for use in spec.card.out_of_scope]
    said += spec.card.limitations
    if report is not None:
        slices = report.explanation.slices if report.explanation else []
        thin = [s for s in slices if s.challenger is None]
        said += [f"Not measured where {s.column} is {s.value}: {s.reason}." for s in thin[:TOP]]
        if len(report.hold_out_windows) == 1 and spec.cadence != "none":
            said.append(
                f"Judged on one window ({report.hold_out_windows[0]}): seasons that it does not "
                "show were not tested."
            )
    if spec.columns.unit is None:
        said.append("Rows were taken to be independent of each other: no unit is declared.")
    return Section("Limits", text=tuple(said) or ("None are declared (key card.limitations).",))


def _verdict(report: EvaluationReport | None, judged: str | None) -> Section:
    if report is None and judged is None:
        return Section("Evaluation", text=("This version was not judged yet.",))
    if report is None:
        return Section(
            "Evaluation",
            text=(
                "Another version was judged on the same window since, and has its report's place; "
                "the page of this version's is the artifact evaluation of its run.",
            ),
            facts=(("verdict", str(judged).replace("_", " ")),),
        )
    verdict = report.verdict
    rival = verdict.champion_version
    return Section(
        "Evaluation",
        text=tuple(verdict.reasons),
        facts=(
            ("verdict", verdict.verdict.replace("_", " ")),
            ("accepted", "yes" if verdict.accepted else "no"),
            ("compared with", "no champion" if rival is None else f"version {rival}"),
            ("evaluated", _moment(report.evaluated_at)),
            ("hold-out", f"{report.hold_out_rows} rows, {report.hold_out_units} units"),
            ("hold-out windows", ", ".join(report.hold_out_windows)),
            ("hold-out data version", verdict.data_version),
        ),
    )


def _measured(report: EvaluationReport | None) -> Iterable[Section]:
    if report is None:
        return
    rules = report.rules
    if rules:
        yield Section(
            "Rules of the gate",
            header=("rule", "status", "limit", "found"),
            rows=tuple((r.name, r.status.replace("_", " "), r.limit, r.words) for r in rules),
        )
    for rule in rules:
        if rule.parts and rule.name.partition(".")[0] in GROUPED:
            yield _parts(rule)
    yield Section(
        "Metrics",
        header=("metric", "this version", "champion then"),
        rows=tuple(
            (e.metric, _estimate(e), _estimate(_named(report.champion, e.metric)))
            for e in report.challenger
        ),
    )
    explained = report.explanation
    if explained is None:
        return
    if explained.slices:
        yield Section(
            "Slices",
            header=("column", "value", "rows", explained.metric),
            rows=tuple(
                (s.column, s.value, str(s.rows), _estimate(s.challenger)) for s in explained.slices
            ),
        )
    if explained.importance:
        yield Section(
            "What it depends on",
            text=(f"Loss in {explained.metric} when a column is shuffled.",),
            header=("column", "loss"),
            rows=tuple((i.feature, _estimate(i.loss)) for i in explained.importance[:TOP]),
        )


def _parts(rule: Any) -> Section:
    return Section(
        rule.name.replace(".", ": ").replace("_", " ").capitalize(),
        text=(rule.words,),
        header=("part", "rows", "found", ""),
        rows=tuple((p.name, str(p.rows), _part(p), p.words) for p in rule.parts),
    )


def _part(part: Any) -> str:
    if part.observed is None:
        return NONE
    if part.low is None or part.high is None:
        return digits(part.observed)
    return f"{digits(part.observed)} ({digits(part.low)} to {digits(part.high)})"


def _data(spec: "ModelSpec", trained: TrainedModel) -> Section:
    windows = trained.training_windows
    span = windows[0] if len(windows) == 1 else f"{windows[0]} to {windows[-1]} ({len(windows)})"
    return Section(
        "Training data",
        facts=(
            ("source", f"{spec.source.type}: {_source(spec)}"),
            ("windows", span),
            ("until", _moment(trained.trained_until)),
            ("rows", str(trained.rows)),
            ("data version", trained.data_version),
            ("target", spec.label_column),
            ("labels complete after", str(spec.columns.label_delay)),
            ("columns the model sees", ", ".join(trained.features)),
        ),
    )


def _source(spec: "ModelSpec") -> str:
    # Of a database its address is a secret, or holds one: the card is for everybody.
    shown = ("function", "path", "table")
    named = [str(v) for k in shown if (v := getattr(spec.source, k, None))]
    return ", ".join(named) or "see the declaration"


def _contract(spec: "ModelSpec") -> Section:
    contract = spec.feature_contract or spec.contract
    if contract is None:
        return Section("Contract", text=("No contract is declared for the data.",))
    return Section(
        "Contract",
        header=("column", "type", "checks"),
        rows=tuple((c["column"], c["dtype"], c["checks"]) for c in describe(contract)),
    )


def _estimator(trained: TrainedModel) -> Section:
    return Section("Estimator", facts=tuple(sorted(trained.params.items())))


def _decisions(journal: Sequence[Entry], version: int) -> Section:
    mine = [e for e in journal if e.state == "done" and version in e.versions]
    if not mine:
        return Section("Decisions", text=("Nobody has decided about this version yet.",))
    return Section(
        "Decisions",
        text=("From the rollout journal, oldest first.",),
        header=("when", "what", "version", "who", "why"),
        rows=tuple((e.at[:16], e.action, f"v{e.version}", e.who, e.why) for e in mine),
    )


def _origin(trained: TrainedModel) -> Section:
    return Section(
        "Origin",
        facts=(
            ("trained", _moment(trained.created_at)),
            ("code version", trained.code_version),
            ("git commit", trained.git_commit),
            ("environment", trained.environment),
            ("digest of the files", trained.digest),
            ("fingerprint", trained.fingerprint),
            ("MLflow run", trained.run_id),
            ("Dagster run", trained.dagster_run_id),
        ),
    )


def _named(estimates: list[MetricEstimate], metric: str) -> MetricEstimate | None:
    return next((e for e in estimates if e.metric == metric), None)


def _estimate(found: "MetricEstimate | Spread | None") -> str:
    if found is None:
        return NONE
    return f"{digits(found.value)} ({digits(found.low)} to {digits(found.high)})"


def _moment(value: datetime | None) -> str:
    return "no windows" if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def _markdown(section: Section) -> str:
    lines: list[Any] = [f"\n## {escaped(section.title)}\n"]
    lines += [f"{escaped(text)}\n" for text in section.text]
    lines += [f"- {escaped(name)}: {escaped(value)}" for name, value in section.facts]
    if section.facts:
        lines.append("")
    if section.header:
        lines.append("| " + " | ".join(map(escaped, section.header)) + " |")
        lines.append("|" + " --- |" * len(section.header))
        lines += ["| " + " | ".join(map(escaped, row)) + " |" for row in section.rows]
        lines.append("")
    return "\n".join(lines)
