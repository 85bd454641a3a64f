"""What a report found, read from Dagster's event log and the stored reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlops_assets.assets.keys import ADVICE, DRIFT_REPORT, PERFORMANCE_REPORT, key
from mlops_assets.automation.jobs import MONITORING
from mlops_assets.automation.past_retrains import UNFINISHED
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.retrain import Finding, Trigger, answering
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.resources import ReportIOManager

REPORTS: dict[Trigger, str] = {"drift": DRIFT_REPORT, "decay": PERFORMANCE_REPORT}
AT_ONCE = 20
NEWER = 8
# Of one window: how often it is reported on again by runs that fail, and marked by hand.
MOST_VOID = 50
# What stands for a verdict where a window was only marked as materialized.
BY_HAND = ""


@dataclass(frozen=True)
class Reported:
    """A report's materialization, as the event log has it."""

    storage_id: int
    run_id: str
    window: str
    verdict: str

    @property
    def report_id(self) -> str:
        """What the report is known by in the tags of the runs it asked for."""
        return str(self.storage_id)


def new_reports(
    instance: dg.DagsterInstance, asset: dg.AssetKey, cursor: str | None
) -> Iterator[Reported]:
    """Reports since the cursor, oldest first."""
    after = int(cursor) if cursor else None
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, after_storage_id=after),
        limit=AT_ONCE,
        ascending=True,
    ).records
    yield from (_reported(record) for record in records)


def newest_reports(
    instance: dg.DagsterInstance, asset: dg.AssetKey, windows: list[str]
) -> dict[str, Reported]:
    """The newest report that counts on each of some windows that has one."""
    found: dict[str, Reported] = {}
    for window in windows:
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=asset, asset_partitions=None if window == UNPARTITIONED else [window]
            ),
            limit=MOST_VOID,
        ).records
        reports = (_reported(record) for record in records)
        newest = next((each for each in reports if not _does_not_count(instance, each)), None)
        if newest is not None:
            found[window] = newest
    return found


def run_of(instance: dg.DagsterInstance, reported: Reported) -> dg.DagsterRun | None:
    """The run that reported; None where it was deleted since, and then it had ended well."""
    return instance.get_run_by_id(reported.run_id)


def unsettled(instance: dg.DagsterInstance, spec: ModelSpec, reported: Reported) -> str | None:
    """Why a report can't be read yet: it, or the next on its window, is being made."""
    run = run_of(instance, reported)
    # A report is written before its run ends, and the run may still fail.
    if run is not None and not run.is_finished:
        return f"the run that reports on {reported.window} is still under way"
    tags = {} if reported.window == UNPARTITIONED else {"dagster/partition": reported.window}
    again = dg.RunsFilter(job_name=f"{spec.name}_{MONITORING}", statuses=UNFINISHED, tags=tags)
    if instance.get_run_records(again, limit=1):
        return f"{reported.window} is being reported on again, and that run is still under way"
    return None


def void(instance: dg.DagsterInstance, asset: dg.AssetKey, reported: Reported) -> str | None:
    """Why a report does not count: its run failed, or a newer one that counts is on its window."""
    if reason := _does_not_count(instance, reported):
        return reason
    newest = newest_reports(instance, asset, [reported.window]).get(reported.window)
    if newest is not None and newest.storage_id > reported.storage_id:
        return "it was reported on again since"
    return None


def _does_not_count(instance: dg.DagsterInstance, reported: Reported) -> str | None:
    if reported.verdict == BY_HAND:
        return "it was marked as materialized by hand, which is no report"
    run = run_of(instance, reported)
    if run is not None and not run.is_success:
        return "the run that reports on it failed"
    return None


def finding(
    instance: dg.DagsterInstance,
    stored: ReportIOManager,
    spec: ModelSpec,
    trigger: Trigger,
    reported: Reported,
) -> Finding:
    """A settled report, with the advice that was made from it."""
    window = None if reported.window == UNPARTITIONED else reported.window
    named = (DRIFT_REPORT, PERFORMANCE_REPORT, ADVICE)
    drift, performance, advice = (_load(stored, key(spec, asset), window) for asset in named)
    words = _unbound(drift, performance, advice)
    mine = drift if trigger == "drift" else performance
    if not words and mine.verdict != reported.verdict:
        words = f"the stored report says {mine.verdict}"
    found = Finding(
        trigger=trigger,
        window=reported.window,
        report_id=reported.report_id,
        verdict=reported.verdict,
        action=None,
        words=words,
        newer=_newer(instance, key(spec, REPORTS[trigger]), reported.window),
    )
    if words:
        return found
    return Finding(
        **vars(found)
        | {
            "action": advice.action,
            "words": "; ".join(advice.reasons),
            "needs_person": advice.needs_person,
            "answered_by": answering(drift.verdict, performance.verdict, spec.retrain.on),
        }
    )


def _unbound(drift: Any, performance: Any, advice: Any) -> str:
    """Why there is no advice on these two reports; empty where there is."""
    if drift is None or performance is None:
        return "not both reports on the window can be read, so there is no advice"
    if advice is None:
        return "there is no advice on the window"
    made_from = (advice.drift_report_at, advice.performance_report_at)
    if made_from != (drift.created_at, performance.created_at):
        return f"the advice of {advice.created_at:%Y-%m-%d %H:%M} is on earlier reports"
    return ""


def _load(stored: ReportIOManager, asset: dg.AssetKey, window: str | None) -> Any:
    try:
        return stored.load(asset, window)
    except (EvidenceError, ValueError):  # never stored, or no report any more
        return None


def _newer(instance: dg.DagsterInstance, asset: dg.AssetKey, window: str) -> str | None:
    """The newest window after this one whose report has a verdict.

    Windows that are filled in later, and those whose labels have come only now, are old news once
    a newer one was judged: that one says how the model is doing.
    """
    windows = sorted(w for w in instance.get_materialized_partitions(asset) if w > window)
    reports = newest_reports(instance, asset, windows[-NEWER:])
    judged = [w for w, each in reports.items() if each.verdict != "insufficient_data"]
    return max(judged, default=None)


def _reported(record: Any) -> Reported:
    event = record.asset_materialization
    verdict = event.metadata.get("verdict")
    return Reported(
        record.storage_id,
        record.run_id,
        event.partition or UNPARTITIONED,
        BY_HAND if verdict is None else verdict.value,
    )
