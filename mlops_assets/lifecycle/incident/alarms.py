"""What is wrong now."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.incident.report import Alarm, Serving
from mlops_assets.lifecycle.incident.sources import Sources
from mlops_assets.lifecycle.incident.windows import Watched, in_words
from mlops_assets.lifecycle.overdue import served, serves_since
from mlops_assets.lifecycle.rollout.changes import refuse_moved_alias

NAMED = 5
# The watch starts half an hour after a window has ended.
WATCH_TAKES = timedelta(hours=2)


def open_alarms(sources: Sources, serving: Serving, found: Sequence[Watched]) -> list[Alarm]:
    """What is wrong with what serves, by its newest reports, and with the watch itself."""
    alarms = [*_of_rollout(sources, serving), *_of_reports(sources, serving, found)]
    if serving.champion is not None and not serving.retired:
        alarms += _of_watch(sources, found)
    return sorted(alarms, key=lambda alarm: alarm.gravity != "page")


def _of_rollout(sources: Sources, serving: Serving) -> Iterator[Alarm]:
    if serving.journal:
        yield Alarm(gravity="page", words=f"{serving.journal}: it was edited, don't rely on it")
    if serving.unfinished:
        yield Alarm(gravity="page", words=serving.unfinished)
    if serving.champion is None and not serving.retired:
        yield Alarm(gravity="page", words="nothing serves: no version is champion")
    try:
        refuse_moved_alias(sources.journal, sources.spec.name, serving.champion)
    except RolloutError as error:
        yield Alarm(gravity="page", words=str(error))


def _of_reports(sources: Sources, serving: Serving, found: Sequence[Watched]) -> Iterator[Alarm]:
    drift = next((w.drift for w in reversed(found) if w.drift is not None), None)
    performance = next((w.performance for w in reversed(found) if w.performance is not None), None)
    assets = f"{sources.dagster_url}/assets/{sources.spec.name}"
    if drift is not None and drift.verdict in ("drifted", "broken"):
        named = [c.column for c in drift.columns if c.verdict in ("drifted", "broken")]
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        what = {"broken": "the data are broken", "drifted": "traffic drifted"}[drift.verdict]
        if drift.prediction_drifted:
            what += ", and so did the answers"
        yield Alarm(
            gravity="page" if drift.verdict == "broken" or drift.prediction_drifted else "warn",
            words=f"{what}: {', '.join(named[:NAMED])}{more}{_other(drift.version, serving)}",
            at=drift.created_at,
            window=drift.window,
            link=f"{assets}/drift_report",
        )
    if performance is not None and performance.verdict == "decayed":
        yield Alarm(
            gravity="page",
            words=f"the model decayed: {performance.reason}{_other(performance.version, serving)}",
            at=performance.created_at,
            window=performance.window,
            link=f"{assets}/performance_report",
        )


def _other(version: int, serving: Serving) -> str:
    if version in (serving.champion, serving.challenger):
        return ""
    return f" (about v{version}, which does not serve any more)"


def _of_watch(sources: Sources, found: Sequence[Watched]) -> Iterator[Alarm]:
    """Windows since the model serves without a report: nobody would notice what happens there."""
    reported = [w.window for w in found if w.drift is not None and w.performance is not None]
    if sources.spec.cadence == "none":
        if not reported:
            yield Alarm(gravity="warn", words="nobody watches it: there are no reports")
        return
    serving = serves_since(sources.journal.entries(sources.spec.name))
    if serving is None:
        return
    complete = served(sources.spec.grid, serving, sources.now, WATCH_TAKES)
    last = reported[-1].key if reported else ""
    shown = [w.window.key for w in found]
    late = [w for w in complete if w.key > last and (last or w.key in shown)]
    if late:
        words = in_words([w.key for w in late], late)
        yield Alarm(gravity="warn", words=f"the watch is late: no reports for {words}")
