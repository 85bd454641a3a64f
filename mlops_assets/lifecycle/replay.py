"""From a prediction back to everything that it was made from, and the proof by doing it again."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record
from mlops_assets.lifecycle.prediction_log.finding import find, request_of
from mlops_assets.lifecycle.recording import read_environment, read_record
from mlops_assets.lifecycle.registry import CHAMPION, Registry, Version
from mlops_assets.lifecycle.reports import (
    DriftReport,
    EvaluationReport,
    MetricEstimate,
    Report,
    TrainedModel,
)
from mlops_assets.lifecycle.rescoring import Rescored, rescore
from mlops_assets.lifecycle.rollout.history import ABORT, APPROVE, MOVES, SERVES
from mlops_assets.lifecycle.rollout.journal import Entry, Journal

if TYPE_CHECKING:
    # The stored reports of a model's asset, newest window last.
    Stored = Callable[[str, str], list[Report]]

PACKAGES = ("python", "scikit-learn", "numpy", "pandas", "scipy", "skops", "mlflow")


class Prediction(Report):
    """What was asked and answered, and when."""

    prediction_id: str
    model: str
    version: int
    variant: str
    at: datetime
    logged_at: datetime
    unit: str | None
    key: dict[str, Any]
    features: dict[str, Any]
    answer: dict[str, Any]
    status: int
    latency_ms: float


class Change(Report):
    """A row of the rollout journal."""

    at: str
    action: str
    version: int
    champion_before: int | None
    who: str
    why: str
    evidence: dict[str, Any]
    hash: str


class GateVerdict(Report):
    """The verdict that let a version in."""

    evaluation: str
    window: str
    verdict: str
    reasons: list[str]
    policy_hash: str
    data_version: str
    hold_out_windows: list[str]
    hold_out_rows: int
    metrics: list[MetricEstimate]


class Drift(Report):
    """What the newest drift report said when the prediction was answered."""

    window: str
    version: int
    verdict: str
    drifted: list[str]
    created_at: datetime


class Explanation(Report):
    """A prediction and where it comes from.

    Attributes
    ----------
    let_in : Change or None
        What let the version answer in this role at that time; None where the journal has nothing.
    history : tuple of Change
        What the journal says of the version up to the prediction, oldest first.
    journal : str
        What came of verifying the journal's chain.
    verdict : GateVerdict or None
    training : TrainedModel or None
    packages : dict
        The libraries that the version was trained with.
    drift : Drift or None
    rescored : tuple of Rescored
    missing : tuple of str
        What could not be told, and why.
    """

    prediction: Prediction
    let_in: Change | None
    history: tuple[Change, ...]
    journal: str
    journal_intact: bool
    verdict: GateVerdict | None
    training: TrainedModel | None
    packages: dict[str, str]
    drift: Drift | None
    rescored: tuple[Rescored, ...]
    missing: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every form of the version gives the logged answer again, to the bit."""
        return bool(self.rescored) and all(each.same for each in self.rescored)


def explain(
    prediction_id: str,
    *,
    registry: Registry,
    journal: Journal,
    log: PredictionLog,
    stored: "Stored",
    model: str | None = None,
) -> Explanation:
    """Everything known of a prediction.

    Parameters
    ----------
    stored : callable
        From model and asset to the reports that are stored of it.
    model : str or None
        Look in this model's log only.

    Raises
    ------
    EvidenceError
        When there is no such prediction, or the log is damaged.
    """
    record = find(log, prediction_id, model)
    missing: list[str] = []
    history = [_change(entry) for entry in _history(journal, record)]
    let_in = next((c for c in reversed(history) if c.action in _admits(record)), None)
    if let_in is None:
        missing.append(f"the rollout journal has nothing that let v{record.version} in")
    words, intact = _verified(journal)
    version = _version(registry, record, missing)
    reports = stored(record.model, "evaluation_report")
    return Explanation(
        prediction=_prediction(record),
        let_in=let_in,
        history=tuple(history),
        journal=words,
        journal_intact=intact,
        verdict=_verdict(history, reports, missing),
        training=_read(version, lambda v: read_record(registry, v), "its record", missing),
        packages=_packages(registry, version, missing),
        drift=_drift(stored(record.model, "drift_report"), record),
        rescored=_rescored(registry, version, record, log, missing),
        missing=tuple(missing),
    )


def _admits(record: Record) -> tuple[str, ...]:
    """What lets a version answer: a champion a promotion, others any step."""
    return SERVES if record.variant == CHAMPION else tuple(a for a in MOVES if a != ABORT)


def _history(journal: Journal, record: Record) -> list[Entry]:
    entries = journal.entries(record.model)
    # What a change does is seen before it is done.
    begun = {entry.change: entry.at for entry in entries if entry.state == "begun"}
    return [
        entry
        for entry in entries
        if entry.state == "done"
        and entry.version == record.version
        and datetime.fromisoformat(begun.get(entry.change, entry.at)) <= record.logged_at
        and entry.action in (APPROVE, *MOVES)
    ]


def _change(entry: Entry) -> Change:
    fields = {name: getattr(entry, name) for name in Change.model_fields}
    return Change(**fields)


def _verified(journal: Journal) -> tuple[str, bool]:
    try:
        return f"the chain of {journal.verify()} rows is intact", True
    except EvidenceError as error:
        return str(error), False


def _prediction(record: Record) -> Prediction:
    return Prediction(**{name: getattr(record, name) for name in Prediction.model_fields})


def _version(registry: Registry, record: Record, missing: list[str]) -> Version | None:
    try:
        version = registry.version(record.model, record.version)
    except ArtifactError as error:
        missing.append(str(error))
        return None
    if version.run_id != record.run_id:
        # The model was deleted and registered anew: its versions count from 1 again.
        missing.append(
            f"{version} in the registry is of MLflow run {version.run_id}, "
            f"the one that answered was of {record.run_id}"
        )
        return None
    return version


def _read(version: Version | None, read: Callable[[Version], Any], what: str, missing: list[str]):
    if version is None:
        return None
    try:
        return read(version)
    except ArtifactError as error:
        missing.append(f"{what}: {error}")
        return None


def _packages(registry: Registry, version: Version | None, missing: list[str]) -> dict[str, str]:
    found = _read(version, lambda v: read_environment(registry, v), "its environment", missing)
    return {name: found[name] for name in PACKAGES if name in found} if found else {}


def _verdict(
    history: list[Change], reports: list[Report], missing: list[str]
) -> GateVerdict | None:
    judged = [c.evidence["evaluation"] for c in history if "evaluation" in c.evidence]
    if not judged:
        return None
    wanted = judged[-1]
    for report in reports:
        if isinstance(report, EvaluationReport) and report.fingerprint == wanted:
            return GateVerdict(
                evaluation=report.fingerprint,
                window=report.window,
                verdict=report.verdict.verdict,
                reasons=report.verdict.reasons,
                policy_hash=report.verdict.policy_hash,
                data_version=report.verdict.data_version,
                hold_out_windows=report.hold_out_windows,
                hold_out_rows=report.hold_out_rows,
                metrics=report.challenger,
            )
    missing.append(
        f"the evaluation report {wanted[:12]} is not stored any more; the journal has its verdict"
    )
    return None


def _drift(reports: list[Report], record: Record) -> Drift | None:
    known = [r for r in reports if isinstance(r, DriftReport) and r.created_at <= record.logged_at]
    if not known:
        return None
    report = max(known, key=lambda r: r.created_at)
    return Drift(
        window=report.window,
        version=report.version,
        verdict=report.verdict,
        drifted=[c.column for c in report.columns if c.verdict == "drifted"],
        created_at=report.created_at,
    )


def _rescored(
    registry: Registry,
    version: Version | None,
    record: Record,
    log: PredictionLog,
    missing: list[str],
) -> tuple[Rescored, ...]:
    if record.failed:
        missing.append(f"the version could not answer (status {record.status}): nothing to score")
        return ()

    def again(of: Version) -> list[Rescored]:
        return rescore(registry, of, record, request_of(log, record))

    return tuple(_read(version, again, "its files", missing) or ())
