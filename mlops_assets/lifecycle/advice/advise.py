"""From the reports of a window to what should be done about it."""

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.advice.evidence import Evidence
from mlops_assets.lifecycle.advice.report import Action, Advice
from mlops_assets.lifecycle.advice.rules import RULES
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    from mlops_assets.lifecycle.decay.report import PerformanceReport
    from mlops_assets.lifecycle.drift.report import DriftReport
    from mlops_assets.lifecycle.spec import ModelSpec

GRAVEST_FIRST: tuple[Action, ...] = ("fix_the_data", "refit", "recalibrate", "leave")


def advise(
    spec: "ModelSpec",
    drift: "DriftReport",
    performance: "PerformanceReport",
    *,
    now: datetime,
) -> Advice:
    """Leave, recalibrate, refit, or fix the data, with reasons.

    Each rule looks for one sign. The gravest action that any sign asks for is the advice; all that
    was found is among its reasons, what decided first. The table of signs is in docs/advice.md.

    Parameters
    ----------
    spec : ModelSpec
    drift : DriftReport
    performance : PerformanceReport
    now : datetime
        Aware; what counts as now when labels are due.

    Raises
    ------
    EvidenceError
        When the reports are not of this model, or not of one window and version.
    """
    _check_same(spec, drift, performance)
    evidence = Evidence(spec, drift, performance, now)
    found = [(rule.action, finding) for rule in RULES for finding in rule.look(evidence)]
    action = next((a for a in GRAVEST_FIRST if any(a == asked for asked, _ in found)), "leave")
    found.sort(key=lambda asked: GRAVEST_FIRST.index(asked[0]))
    named = [name for asked, finding in found if asked == action for name in finding.columns]
    return Advice(
        model=drift.model,
        window=drift.window,
        version=drift.version,
        action=action,
        reasons=[finding.words for _, finding in found],
        columns=list(dict.fromkeys(named)),
        needs_person=any(finding.needs_person for _, finding in found),
        drift_report_at=drift.created_at,
        performance_report_at=performance.created_at,
        created_at=now,
    )


def _check_same(spec: "ModelSpec", drift: "DriftReport", performance: "PerformanceReport") -> None:
    for what, report in (("drift", drift), ("performance", performance)):
        if report.model != spec.name:
            raise EvidenceError(f"{spec.name}: the {what} report is of {report.model}")
    ours, theirs = ((r.window, r.version) for r in (drift, performance))
    if ours != theirs:
        raise EvidenceError(
            f"{spec.name}: the drift report is of window {ours[0]}, v{ours[1]}, the performance "
            f"report of window {theirs[0]}, v{theirs[1]}: no advice is made from two stories"
        )
