"""Judging a challenger: on rows neither model has seen, both scored now."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.fingerprint import digest_of, frame_digest, row_hashes
from mlops_assets.lifecycle.gate import TESTS, Paired, decide, default_test
from mlops_assets.lifecycle.gate.evidence import Evidence, Live
from mlops_assets.lifecycle.gate.looks import level_at
from mlops_assets.lifecycle.gate.rules import judged
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.reports import (
    Comparison,
    EvaluationReport,
    MetricEstimate,
    Rule,
    Unseen,
    Verdict,
)
from mlops_assets.lifecycle.training import data_version, join_windows

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.tasks import Cases


@dataclass(frozen=True)
class Candidate:
    """A model that is judged, with what it was trained on.

    Parameters
    ----------
    version : Version
    estimator : object
        Loaded from the version's verified files.
    training_rows : ndarray of uint64, shape (n_training_rows,)
        Row hashes, as :func:`~mlops_assets.lifecycle.fingerprint.row_hashes` gives them.
    trained_until : datetime or None
        End of its training windows; None without windows.
    files : Path or None
        The version's verified files, where they are at hand.
    """

    version: Version
    estimator: Any
    training_rows: "np.ndarray"
    trained_until: datetime | None
    files: "Path | None" = None


def evaluate(
    spec: "ModelSpec",
    window: str,
    training: "dict[str, pd.DataFrame]",
    hold_out: "dict[str, pd.DataFrame]",
    challenger: Candidate,
    champion: Candidate | None,
    baseline: Any = None,
    *,
    live: Live | None = None,
    look: int = 1,
) -> EvaluationReport:
    """Score challenger, champion and baseline on the same hold-out and reach a verdict.

    Parameters
    ----------
    live : Live or None
        The last live rows, for ``gate.hold_out.representative``; None where there are none.
    look : int
        How often this hold-out was asked, this time included; from :mod:`.gate.looks`.

    Raises
    ------
    EvidenceError
        When the hold-out was seen by a model, has no rows or one class, or a score is NaN.
    """
    rows = join_windows(hold_out)
    unseen = [prove_unseen(spec, rows, c) for c in (challenger, champion) if c is not None]
    cases = spec.task_type.cases(rows, join_windows(training), spec.columns)
    problem = spec.task_type.check_truth(cases.truth)
    if problem:
        raise EvidenceError(f"{spec.name}: the hold-out {sorted(hold_out)} has {problem}")

    alpha = level_at(spec.gate.alpha, look)
    scores = _scores(spec, cases, challenger.estimator, str(challenger.version))
    estimates = _estimates(spec, cases, scores)
    theirs = rival = against_baseline = None
    champion_estimates: list[MetricEstimate] = []
    baseline_estimates: list[MetricEstimate] = []
    if champion is not None:
        theirs = _scores(spec, cases, champion.estimator, str(champion.version))
        champion_estimates = _estimates(spec, cases, theirs)
        rival = _compare(spec, cases, scores, theirs, str(champion.version), alpha)
    if baseline is not None:
        simple = _scores(spec, cases, baseline, "the baseline")
        baseline_estimates = _estimates(spec, cases, simple)
        against_baseline = _compare(spec, cases, scores, simple, "the baseline", alpha)
    evidence = Evidence(
        spec=spec,
        rows=rows,
        training=join_windows(training),
        cases=cases,
        challenger=challenger,
        champion=champion,
        scores=scores,
        champion_scores=theirs,
        estimates=estimates,
        comparison=rival,
        baseline=against_baseline,
        alpha=alpha,
        look=look,
        live=live,
    )
    rules = judged(evidence)
    version = data_version(hold_out)
    return EvaluationReport(
        model=spec.name,
        window=window,
        task=spec.task,
        fingerprint=fingerprint(
            spec, challenger.version, champion.version if champion else None, version, live
        ),
        evaluated_at=datetime.now(UTC),
        hold_out_windows=sorted(hold_out),
        hold_out_rows=len(rows),
        hold_out_units=len(set(cases.units)),
        unseen=unseen,
        challenger=estimates,
        champion=champion_estimates,
        baseline=baseline_estimates,
        comparison=rival or against_baseline,
        verdict=_verdict(evidence, rules, version),
        rules=rules,
        look=look,
    )


def fingerprint(
    spec: "ModelSpec",
    challenger: Version,
    champion: Version | None,
    hold_out: str,
    live: Live | None = None,
) -> str:
    """What an evaluation is made of: equal fingerprints mean an equal report.

    Without ``live`` it says what is asked of the hold-out: equal ones are one look.
    """
    rival = champion and champion.digest
    parts = [spec.name, challenger.digest, rival, hold_out, policy_hash(spec)]
    if live is not None:
        parts += [live.window, frame_digest(live.rows)]
    return digest_of(*parts)


def policy_hash(spec: "ModelSpec") -> str:
    """Hash of everything that was declared about the gate before data were seen."""
    return digest_of(spec.gate, spec.task, spec.columns, spec.training.hold_out)


def prove_unseen(spec: "ModelSpec", rows: "pd.DataFrame", candidate: Candidate) -> Unseen:
    """Prove that a model was not trained on these rows, by time and by row hash.

    Raises
    ------
    EvidenceError
        Naming the version and how many rows, or until when, it was trained.
    """
    import numpy as np

    shared = int(np.isin(row_hashes(rows), candidate.training_rows).sum())
    if shared:
        raise EvidenceError(
            f"{candidate.version} was trained on {shared} of the {len(rows)} hold-out rows"
        )
    if candidate.trained_until is not None:
        earliest = rows[spec.columns.time].min()
        # Said so that a missing time (NaT) is refused as well.
        if not (rows[spec.columns.time] >= candidate.trained_until).all():
            raise EvidenceError(
                f"{candidate.version} was trained on data up to {candidate.trained_until}, "
                f"the hold-out begins at {earliest}: it must be later"
            )
    return Unseen(
        version=candidate.version.number,
        training_rows=len(candidate.training_rows),
        shared_rows=shared,
        trained_until=candidate.trained_until,
    )


def _scores(spec: "ModelSpec", cases: "Cases", estimator: Any, who: str) -> "np.ndarray":
    import numpy as np

    scores = spec.task_type.scores(estimator, cases.asked)
    if len(scores) != len(cases.truth):
        raise EvidenceError(f"{who} gives {len(scores)} answers to {len(cases.truth)} rows")
    if spec.task == "multiclass_classification" and cases.truth.max() >= scores.shape[1]:
        raise EvidenceError(
            f"{who} knows the classes 0 to {scores.shape[1] - 1}, "
            f"and the hold-out has class {cases.truth.max()}"
        )
    if scores.dtype.kind == "f" and not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise EvidenceError(f"{who} answers NaN or infinity on {bad} of {len(scores)} rows")
    return scores


def _estimates(spec: "ModelSpec", cases: "Cases", scores: "np.ndarray") -> list[MetricEstimate]:
    return [
        estimate(metric, cases.truth, scores, cases.units, spec.gate.alpha, cases.weights)
        for metric in spec.task_type.metrics
    ]


def estimate(name: str, truth, predicted, units, alpha: float, weights=None) -> MetricEstimate:
    """A metric with a two-sided interval at level ``1 - alpha`` over units."""
    metric = METRICS[name]
    level = default_test(metric).level(metric, truth, predicted, units, alpha / 2, weights)
    low, high = level.low, level.high
    if math.isfinite(low) and math.isfinite(high):  # an infinite one says: no interval
        low, high = max(low, metric.bounds[0]), min(high, metric.bounds[1])
    return MetricEstimate(metric=name, value=level.estimate, low=low, high=high)


def _compare(
    spec: "ModelSpec", cases: "Cases", ours, theirs, rival: str, alpha: float
) -> Comparison:
    test = TESTS[spec.gate.test_name]
    paired = Paired(cases.truth, ours, theirs, cases.units, cases.weights)
    gain = test.gain(METRICS[spec.gate.metric], paired, alpha)
    return decide.compare(spec.gate, test.name, rival, gain, alpha)


def _verdict(evidence: Evidence, rules: list[Rule], hold_out: str) -> Verdict:
    spec, challenger, champion = evidence.spec, evidence.challenger, evidence.champion
    named, _ = decide.primary(spec.gate, evidence.comparison, evidence.baseline)
    name, accepted, reasons = decide.verdict(spec.gate, named, rules)
    return Verdict(
        verdict=name,
        accepted=accepted,
        reasons=reasons,
        challenger_version=challenger.version.number,
        challenger_digest=challenger.version.digest,
        champion_version=champion.version.number if champion else None,
        data_version=hold_out,
        policy_hash=policy_hash(spec),
    )
