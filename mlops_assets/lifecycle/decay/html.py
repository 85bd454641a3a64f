"""The labelled answers of a window as Evidently draws them: to look at, never to decide by."""

import html
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.html import harmless
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import pandas as pd
    from evidently import DataDefinition
    from evidently.core.container import MetricContainer
    from evidently.core.report import Snapshot

    from mlops_assets.lifecycle.decay.report import PerformanceReport
    from mlops_assets.lifecycle.tasks import Answered, Task

# A curve and a table for each class: with a hundred, 8 seconds and 15 MB.
CLASSES_WITH_SCORES = 10


class NotDrawnError(EvidenceError):
    """There is no page on these answers, and why."""


def performance_html(
    report: "PerformanceReport",
    task: "Task",
    live: "Answered",
    hold_out: "Answered | None",
    path: Path,
) -> None:
    """Write the page of the task's preset: current is the window, reference the hold-out.

    At most ``task.preset_rows`` rows a side are drawn, which the page says. Evidently knows no
    weights: every row counts the same.

    Parameters
    ----------
    report : PerformanceReport
    task : Task
    live : Answered
        What the report was made from.
    hold_out : Answered or None
        The version's answers on its hold-out, where they were recorded.
    path : Path

    Raises
    ------
    NotDrawnError
        When the rows drawn do not suffice, or Evidently fails on them.
    """
    sides = {"labelled answers": live} | ({"hold-out rows": hold_out} if hold_out else {})
    drawn = {what: rows.drawn(task.preset_rows) for what, rows in sides.items()}
    try:
        # Evidently drops a Path without a word.
        snapshot(task, *drawn.values()).save_html(str(path))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # A library's failure on odd numbers must not take the verdict away.
        raise NotDrawnError(f"Evidently fails: {type(error).__name__}: {error}") from error
    counts = ", ".join(f"{len(d.truth)} of {len(sides[w].truth)} {w}" for w, d in drawn.items())
    words = f"{report.model} v{report.version}, {report.window}: {counts}; unweighted."
    if task.preset == "RegressionPreset" and any((d.truth <= 0).any() for d in drawn.values()):
        # 0.7.23 divides by max(label, 2e-16), and counts a label of 0 as an error of 1.
        words += " Some labels are 0 or below: MAPE is not to be read."
    page = path.read_text("utf-8")
    path.write_text(page.replace("<body>", f"<body><p>{html.escape(words)}</p>", 1), "utf-8")


def snapshot(task: "Task", live: "Answered", hold_out: "Answered | None" = None) -> "Snapshot":
    """Evidently's own numbers of the task's preset, on all the rows given.

    Raises
    ------
    NotDrawnError
    """
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import Dataset, Report

    frames = [_frame(task, rows) for rows in (live, hold_out) if rows is not None]
    preset, definition = PRESETS[task.preset](frames)
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    return Report([preset], include_tests=False).run(*sides)


def _frame(task: "Task", rows: "Answered") -> "pd.DataFrame":
    import numpy as np

    problem = task.check_truth(rows.truth)
    if problem:
        raise NotDrawnError(f"of the {len(rows.truth)} rows drawn: {problem}")
    frame = task.preset_frame(rows)
    numbers = frame.select_dtypes("number")
    # Evidently leaves out rows with NaN without a word.
    if not np.isfinite(numbers.to_numpy(dtype=np.float64)).all():
        raise NotDrawnError("NaN or infinity among the labels or answers")
    for name in frame.columns.difference(numbers.columns):
        frame[name] = frame[name].map(harmless)
    return frame


def _classification(frames: "list[pd.DataFrame]") -> "tuple[MetricContainer, DataDefinition]":
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification
    from evidently.presets import ClassificationPreset

    classes = [c for c in frames[0].columns if c not in ("target", "prediction")]
    columns = {"target": "target", "prediction_labels": "prediction"}
    if classes == ["0", "1"]:
        two = BinaryClassification(**columns, prediction_probas="1", pos_label="1")
        return ClassificationPreset(), DataDefinition(classification=[two])
    # Evidently fails on the scores of a class that no row has.
    all_there = all(set(frame["target"]) == set(classes) for frame in frames)
    scores = classes if all_there and len(classes) <= CLASSES_WITH_SCORES else None
    several = MulticlassClassification(**columns, prediction_probas=scores)
    return ClassificationPreset(), DataDefinition(
        classification=[several], categorical_columns=["target", "prediction"]
    )


def _regression(frames: "list[pd.DataFrame]") -> "tuple[MetricContainer, DataDefinition]":
    from evidently import DataDefinition, Regression
    from evidently.presets import RegressionPreset

    if any((frame["target"] == 0).all() for frame in frames):
        raise NotDrawnError("every label is 0, and Evidently divides by them")
    return RegressionPreset(), DataDefinition(regression=[Regression()])


def _ranking(frames: "list[pd.DataFrame]") -> "tuple[MetricContainer, DataDefinition]":
    from evidently import DataDefinition, Recsys
    from evidently.presets import RecsysPreset

    # Deeper than the shortest list, what was not shown would count as shown.
    shortest = min(frame.groupby("user")["shown"].sum().min() for frame in frames)
    return RecsysPreset(k=int(shortest)), DataDefinition(
        ranking=[Recsys(user_id="user", item_id="item")],
        categorical_columns=["user", "item"],
        numerical_columns=["target", "prediction"],
    )


PRESETS = {
    "ClassificationPreset": _classification,
    "RegressionPreset": _regression,
    "RecsysPreset": _ranking,
}
