"""What became of a policy, read from its copy: runs, verdicts, alarms, metrics."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mlops_assets.assets.drift_report import DRIFTED_NAMES
from mlops_assets.assets.keys import (
    ADVICE,
    DRIFT_REPORT,
    EVALUATION_REPORT,
    PERFORMANCE_REPORT,
    REPORT_WINDOW_TAG,
    TRAINED_MODEL,
    TRIGGER_TAG,
    key,
)
from mlops_assets.lifecycle.declaration import format_duration
from mlops_assets.lifecycle.window import Window
from mlops_assets.rehearsal.answers import Answers, kpis, metric
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.policies import ALWAYS, DECLARED, NEVER
from mlops_assets.rehearsal.report import (
    Alarm,
    PolicyOutcome,
    Retrain,
    Said,
    WindowOutcome,
)
from mlops_assets.rehearsal.run_storage import AS_OF_TAG
from mlops_assets.rehearsal.state import State

ALARMS: dict[str, tuple[Any, str]] = {
    DRIFT_REPORT: ("drift", "drifted"),
    PERFORMANCE_REPORT: ("decay", "decayed"),
}
WORDS = {
    NEVER: "the first champion for ever",
    ALWAYS: "a training for each window, through the same gate",
}


def outcome(
    policy: str, copy: Copy, state: State, windows: list[Window], answers: dict[str, Answers]
) -> PolicyOutcome:
    """Gather what a replay left in its copy.

    Parameters
    ----------
    answers : dict of str to Answers
        By window.
    """
    with copy.instance() as instance:
        retrains = _retrains(copy, instance, state)
        alarms = _alarms(copy, instance)
    rows = [
        _window(copy, state, window, answers[window.key], retrains, windows) for window in windows
    ]
    means = {
        name: [row.kpis[name] for row in rows if name in row.kpis]
        for name in dict.fromkeys(name for row in rows for name in row.kpis)
    }
    values = [row.metric.value for row in rows if row.metric is not None]
    count = {kind: sum(r.came_to == kind for r in retrains) for kind in ("promoted", "refused")}
    return PolicyOutcome(
        policy=policy,
        words=_words(policy, copy),
        windows=rows,
        asked=len(retrains),
        trained=len({r.version for r in retrains if r.came_to != "nothing_new"} - {None}),
        promoted=count["promoted"],
        refused=count["refused"],
        failed=sum(r.came_to == "failed" for r in retrains),
        alerts=len(copy.alerts()),
        mean_metric=_mean(values),
        mean_kpis={name: sum(found) / len(found) for name, found in means.items()},
        alarms=alarms,
    )


def _words(policy: str, copy: Copy) -> str:
    if policy != DECLARED:
        return WORDS[policy]
    declared = copy.spec.retrain
    on = ", ".join(declared.on) or "nothing"
    return (
        f"schedule {declared.schedule or 'none'}, on {on}, cooldown "
        f"{format_duration(declared.cooldown)}, max_per_week {declared.max_per_week}"
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _retrains(copy: Copy, instance: dg.DagsterInstance, state: State) -> list[Retrain]:
    wanted = dg.RunsFilter(job_name=f"{copy.spec.name}_lifecycle")
    runs = instance.get_runs(wanted, ascending=True)
    asked = [run for run in runs if TRIGGER_TAG in run.tags]
    judged = _metadata_by_run(copy, instance, EVALUATION_REPORT)
    trained = _metadata_by_run(copy, instance, TRAINED_MODEL)
    promoted = {(s.since, s.version) for s in state.served}
    seen = {state.served[0].version}
    found = []
    for run in sorted(asked, key=lambda run: run.tags[AS_OF_TAG]):
        at = datetime.fromisoformat(run.tags[AS_OF_TAG])
        version = trained.get(run.run_id, {}).get("version")
        verdict = judged.get(run.run_id, {})
        came_to: Any = "failed"
        if (at, version) in promoted and version not in seen:
            came_to = "promoted"
        elif version in seen:
            came_to = "nothing_new"
        elif verdict and not verdict["accepted"]:
            came_to = "refused"
        if version is not None:
            seen.add(version)
        found.append(
            Retrain(
                at=at,
                trigger=run.tags[TRIGGER_TAG],
                report_window=run.tags.get(REPORT_WINDOW_TAG),
                window=run.tags["dagster/partition"],
                version=version,
                verdict=verdict.get("verdict"),
                came_to=came_to,
                words=str(verdict.get("reasons", "")) or _error(instance, run.run_id),
            )
        )
    return found


def _error(instance: dg.DagsterInstance, run_id: str) -> str:
    for record in instance.all_logs(run_id):
        event = record.dagster_event
        error = getattr(event and event.event_specific_data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            return error.message.strip()
    return ""


def _metadata_by_run(
    copy: Copy, instance: dg.DagsterInstance, asset: str
) -> dict[str, dict[str, Any]]:
    return {
        record.run_id: {k: v.value for k, v in record.asset_materialization.metadata.items()}
        for record in _materializations(copy, instance, asset)
        if record.asset_materialization is not None
    }


def _materializations(copy: Copy, instance: dg.DagsterInstance, asset: str) -> list[Any]:
    wanted = dg.AssetRecordsFilter(asset_key=key(copy.spec, asset))
    found: list[Any] = []
    cursor = None
    while True:
        page = instance.fetch_materializations(wanted, limit=500, cursor=cursor, ascending=True)
        found += page.records
        if not page.has_more:
            return found
        cursor = page.cursor


def _alarms(copy: Copy, instance: dg.DagsterInstance) -> list[Alarm]:
    registry = copy.platform(datetime.now(UTC)).registry
    runs = {run.run_id: run for run in instance.get_runs()}
    found: dict[tuple[str, str], Alarm] = {}
    for asset, (kind, bad) in ALARMS.items():
        for record in _materializations(copy, instance, asset):
            event = record.asset_materialization
            if event is None or event.metadata["verdict"].value != bad:
                continue
            window, version = event.partition, event.metadata["version"].value
            found.setdefault(
                (kind, window),
                Alarm(
                    window=window,
                    kind=kind,
                    at=datetime.fromisoformat(runs[record.run_id].tags[AS_OF_TAG]),
                    version=version,
                    reference=registry.version(copy.spec.name, version).tags["window"],
                    # Of this report: one made since may have labels, too.
                    columns=event.metadata[DRIFTED_NAMES].value if kind == "drift" else [],
                ),
            )
    return sorted(found.values(), key=lambda alarm: (alarm.at, alarm.kind))


def _drifted(copy: Copy, window: str) -> list[str]:
    report = _stored(copy, DRIFT_REPORT, window)
    return [c.column for c in report.columns if c.verdict == "drifted"] if report else []


def _stored(copy: Copy, asset: str, window: str) -> Any:
    where = key(copy.spec, asset)
    return copy.reports.load(where, window) if copy.reports.exists(where, window) else None


def _window(
    copy: Copy,
    state: State,
    window: Window,
    answers: Answers,
    retrains: list[Retrain],
    windows: list[Window],
) -> WindowOutcome:
    value, reason = metric(copy.spec, answers)
    drift, performance, advice = (
        _stored(copy, asset, window.key) for asset in (DRIFT_REPORT, PERFORMANCE_REPORT, ADVICE)
    )
    within = _after(window, windows)
    return WindowOutcome(
        window=window.key,
        rows=answers.answers,
        versions={f"v{version}": count for version, count in answers.versions.items()},
        labelled=len(answers.truth),
        metric=value,
        reason=reason,
        kpis=kpis(copy.spec, answers),
        drift=drift and drift.verdict,
        drifted=_drifted(copy, window.key),
        performance=performance and performance.verdict,
        advice=advice and advice.action,
        advice_reasons=advice.reasons if advice else [],
        retrains=[r for r in retrains if within(r.at)],
        said=[
            Said(at=t.at, by=t.by, words=t.words)
            for t in state.ticks
            if t.words and within(t.at) and not t.words.startswith("no new ")
        ],
    )


def _after(window: Window, windows: list[Window]) -> Callable[[datetime], bool]:
    """Whether a moment lies between a window's end and the next one's.

    The first has all that was before, the last all that came after.
    """
    place = windows.index(window)
    begin = None if place == 0 else window.bounds[1]
    end = None if window is windows[-1] else windows[place + 1].bounds[1]
    return lambda moment: (begin is None or moment >= begin) and (end is None or moment < end)
