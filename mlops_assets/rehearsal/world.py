"""What a replay needs before it begins: raw data and features, and the first champion."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from mlops_assets.assets.keys import (
    EVALUATION_REPORT,
    RAW_DATA,
    VALIDATED_FEATURES,
    key,
)
from mlops_assets.automation.schedules import watch_cron
from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.replay import TRAINING, cron_times
from mlops_assets.rehearsal.runs import forget_cut_off, run_job
from mlops_assets.resources import FrameIOManager

LONGEST = timedelta(days=32)  # between two ticks of a watch


@dataclass(frozen=True)
class Span:
    """The windows of a replay.

    Parameters
    ----------
    played : list of Window
        Asked, answered and watched, oldest first.
    first : Window
        What the first champion is trained for: the newest with complete labels before.
    features, raw : list of Window
        What has to be there, oldest first.
    end : datetime
        When the watch reports on the last labels, which are complete then, or now (aware).
    """

    played: list[Window]
    first: Window
    features: list[Window]
    raw: list[Window]
    end: datetime


def span_of(spec: ModelSpec, first: str, last: str, now: datetime) -> Span:
    """The windows of a replay from one to another.

    Raises
    ------
    DeclarationError
        When the model has no windows, one is not in the grid or not over yet, or too few lie
        before the first to train a model on.
    """
    if spec.cadence == "none":
        raise DeclarationError(f"{spec.name} has no windows: there is no history to play")
    if not spec.task_type.tabular:
        raise DeclarationError(
            f"{spec.name}: what a ranking is asked can't be told from its interactions; only "
            "tasks on tables are played"
        )
    begin, until = (_window(spec, k, o) for k, o in ((first, "--from"), (last, "--to")))
    if begin.key > until.key:
        raise DeclarationError(f"--from {first} is after --to {last}")
    if until.bounds[1] > now:
        raise DeclarationError(f"--to {last}: the window is not over before {until.end:%Y-%m-%d}")
    count = len([w for w in spec.grid.complete(now) if begin.key <= w.key <= until.key])
    played = spec.grid.back_from(last, count)
    start, delay = begin.bounds[0], spec.columns.label_delay
    trained = spec.grid.newest_complete(start, delay)
    least = (spec.training.min_windows or spec.training.windows) + spec.hold_out_windows
    there = 0 if trained is None else len(list(spec.grid.complete(start, delay)))
    if trained is None or there < least:
        raise DeclarationError(
            f"--from {first}: {there} windows with complete labels lie before it, and a model "
            f"needs {least} (training.windows and hold_out); the first window is {spec.start}"
        )
    before = spec.grid.back_from(trained.key, spec.training.windows + spec.hold_out_windows)
    features = [w for w in spec.grid.complete(now) if before[0].key <= w.key <= until.key]
    history = spec.feature_step.history if spec.feature_step else 0
    raw = spec.grid.back_from(last, len(features) + history)
    return Span(played, trained, features, raw, min(now, _reported(spec, until)))


def _reported(spec: ModelSpec, last: Window) -> datetime:
    """When the watch reports on the complete labels of a window."""
    mature = last.bounds[1] + spec.columns.label_delay
    return cron_times(watch_cron(spec), "UTC", mature, mature + LONGEST)[0]


def _window(spec: ModelSpec, window: str, option: str) -> Window:
    try:
        return spec.grid.window(window)
    except ValueError as error:
        raise DeclarationError(f"{option}: {spec.name}: {error}") from None


def bring_data(
    copy: Copy, span: Span, production: FrameIOManager | None, tell: Callable[[str], None]
) -> dict[str, list[str]]:
    """Fill the windows of raw data and features that are not there yet.

    Parameters
    ----------
    production : FrameIOManager or None
        Where raw windows are taken from, where they are stored there; None to read all from the
        source.

    Returns
    -------
    dict of str to list of str
        Raw windows ``taken`` from production and ``read`` from the source, and ``features`` that
        were built, in this call.

    Raises
    ------
    EvidenceError
        Naming the windows that could not be read, break their contract, or have no rows.
    """
    copy.make()
    stored, raw, features = (
        copy.frames,
        key(copy.spec, RAW_DATA),
        key(copy.spec, VALIDATED_FEATURES),
    )
    missing = [w for w in span.raw if not stored.exists(raw, w.key)]
    taken = []
    if production is not None:
        for window in [w for w in missing if production.exists(raw, w.key)]:
            stored.write(stored.path(raw, window.key), production.load(raw, window.key))
            taken.append(window.key)
    read = [w for w in missing if w.key not in taken]
    built = [w for w in span.features if not stored.exists(features, w.key)]
    with copy.instance() as instance:
        for asset, windows in ((RAW_DATA, read), (VALIDATED_FEATURES, built)):
            for run in _runs(windows):
                tell(f"{asset}: {run[0].key} to {run[-1].key}")
                _materialize(copy, instance, asset, run, span.end)
    _require_rows(copy, span)
    keys = {"read": read, "features": built}
    return {"taken": taken} | {name: [w.key for w in ws] for name, ws in keys.items()}


def _runs(windows: list[Window]) -> list[list[Window]]:
    """Windows that follow each other."""
    runs: list[list[Window]] = []
    for window in windows:
        if runs and runs[-1][-1].end == window.start:
            runs[-1].append(window)
        else:
            runs.append([window])
    return runs


def _materialize(
    copy: Copy, instance: dg.DagsterInstance, asset: str, windows: list[Window], now: datetime
) -> None:
    """One run for all; where it fails, one for each, to name those that fail."""
    if _run(copy, instance, asset, windows, now) is None:
        return
    failed = {w.key: _run(copy, instance, asset, [w], now) for w in windows}
    told = [f"{window}: {words}" for window, words in failed.items() if words is not None]
    if told:
        raise EvidenceError(f"{copy.spec.name}/{asset} is not there for {'; '.join(told)}")


def _run(
    copy: Copy, instance: dg.DagsterInstance, asset: str, windows: list[Window], now: datetime
) -> str | None:
    """Why a run over windows failed; None where it did not."""
    tags = {
        "dagster/asset_partition_range_start": windows[0].key,
        "dagster/asset_partition_range_end": windows[-1].key,
    }
    job, only = f"{copy.spec.name}_data", [key(copy.spec, asset)]
    result = run_job(copy.definitions(now), instance, job, now, tags, only=only)
    return None if result.success else why_failed(result)


def why_failed(result: dg.ExecuteInProcessResult) -> str:
    """The blocking check that failed, or else the first error's cause."""
    for check in result.get_asset_check_evaluations():
        if check.blocking and not check.passed:
            return f"{check.check_name}: {check.description}"
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            return error.message.strip()
    return "the run failed without an error"


def _require_rows(copy: Copy, span: Span) -> None:
    features = key(copy.spec, VALIDATED_FEATURES)
    absent = [w.key for w in span.features if not copy.frames.exists(features, w.key)]
    if absent:
        raise EvidenceError(f"{copy.spec.name}: no features for {', '.join(absent)}")
    empty = [w.key for w in span.features if copy.frames.count(features, w.key) == 0]
    if empty:
        raise EvidenceError(f"{copy.spec.name}: no rows in {', '.join(empty)}")


def first_champion(copy: Copy, span: Span) -> EvaluationReport:
    """Train, judge and promote the first model; its evaluation.

    Raises
    ------
    EvidenceError
        When it was not accepted: nothing would serve.
    """
    spec, start = copy.spec, span.played[0].bounds[0]
    registry = copy.platform(start).registry
    asset = key(spec, EVALUATION_REPORT)
    if registry.at(spec.name, CHAMPION) is None:
        with copy.instance() as instance:
            forget_cut_off(instance)
            result = run_job(
                copy.definitions(start),
                instance,
                f"{spec.name}_lifecycle",
                start,
                {},
                window=span.first.key,
                only=[key(spec, each) for each in TRAINING],
            )
        if not result.success:
            raise EvidenceError(
                f"{spec.name}: the first model, for window {span.first.key}, does not come to "
                f"serve, so that there is nothing to play: {why_failed(result)}"
            )
    return copy.reports.load(asset, span.first.key)
