"""What a challenger answers otherwise than the champion, where, and who was right."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.explaining.results import ChangedCase, ChangedGroup, Changes
from mlops_assets.lifecycle.explaining.slices import groups
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.tasks import Cases

CASES = 10
RANKED = 10
Kind = Literal["class", "number", "ranking"]
SIDES: tuple[Literal["champion", "neither", "challenger"], ...] = (
    "champion",
    "neither",
    "challenger",
)


@dataclass(frozen=True)
class _Answers:
    """Two models' answers, row by row.

    ``nearer`` is +1 where the challenger's is nearer to the truth, -1 where the champion's is;
    ``size`` orders the rows by how much changed; ``difference`` is what is averaged.
    """

    kind: Kind
    challenger: list[str]
    champion: list[str]
    changed: np.ndarray
    nearer: np.ndarray
    size: np.ndarray
    difference: np.ndarray | None


def changes(
    task: str,
    cases: Cases,
    challenger: np.ndarray,
    champion: np.ndarray,
    champion_version: int,
    columns: pd.DataFrame,
    names: list[str],
) -> Changes:
    """Compare two models' answers on the hold-out.

    Classes change or not; of numbers that differ, and of rankings whose first ten are not the
    same items, the one nearer to the truth (of the higher NDCG) is right.

    Parameters
    ----------
    challenger, champion : ndarray of shape (n_rows, ...)
        Their scores.
    columns : DataFrame of shape (n_rows, n_columns)
        The columns to slice by.
    names : list of str
        How each row is called.
    """
    answers = _answers(task, cases.truth, challenger, champion)
    everything = ("", "all rows", np.arange(len(names)))
    sliced = [(str(c), value, rows) for c in columns for value, rows in groups(columns[c])]
    return Changes(
        kind=answers.kind,
        champion=champion_version,
        rows=len(names),
        groups=[_group(answers, *one) for one in (everything, *sliced)],
        cases=_cases(answers, cases.truth, names),
    )


def _answers(task: str, truth: np.ndarray, challenger: np.ndarray, champion: np.ndarray):
    if task == "ranking":
        return _rankings(truth, challenger, champion)
    if task in ("binary_classification", "multiclass_classification"):
        return _classes(truth, challenger, champion)
    return _numbers(truth, challenger, champion)


def _classes(truth: np.ndarray, challenger: np.ndarray, champion: np.ndarray) -> _Answers:
    ours, theirs = _class(challenger), _class(champion)
    ours_sure, theirs_sure = _probability(challenger), _probability(champion)
    return _Answers(
        kind="class",
        challenger=_texts(ours, ours_sure),
        champion=_texts(theirs, theirs_sure),
        changed=ours != theirs,
        nearer=(ours == truth).astype(int) - (theirs == truth),
        size=np.minimum(ours_sure, theirs_sure),
        difference=None,
    )


def _class(scores: np.ndarray) -> np.ndarray:
    return (scores > 0.5).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)


def _probability(scores: np.ndarray) -> np.ndarray:
    return np.maximum(scores, 1 - scores) if scores.ndim == 1 else scores.max(axis=1)


def _texts(classes: np.ndarray, sure: np.ndarray) -> list[str]:
    return [f"{c} ({p:.3g})" for c, p in zip(classes, sure, strict=True)]


def _numbers(truth: np.ndarray, challenger: np.ndarray, champion: np.ndarray) -> _Answers:
    size = np.abs(challenger - champion)
    return _Answers(
        kind="number",
        challenger=[f"{v:.6g}" for v in challenger],
        champion=[f"{v:.6g}" for v in champion],
        changed=size > 0,
        nearer=np.sign(np.abs(champion - truth) - np.abs(challenger - truth)).astype(int),
        size=size,
        difference=size,
    )


def _rankings(truth: np.ndarray, challenger: np.ndarray, champion: np.ndarray) -> _Answers:
    ndcg: Any = METRICS["ndcg_at_10"]
    pairs = list(zip(challenger, champion, strict=True))
    kept = np.array([len({*ours[:RANKED]} & {*theirs[:RANKED]}) for ours, theirs in pairs])
    overlap = kept / RANKED
    gain = ndcg.rows(truth, challenger) - ndcg.rows(truth, champion)
    return _Answers(
        kind="ranking",
        challenger=[_ranked(row) for row in challenger],
        champion=[_ranked(row) for row in champion],
        changed=overlap < 1,
        nearer=np.sign(gain).astype(int),
        size=1 - overlap,
        difference=overlap,
    )


def _ranked(items: Any) -> str:
    return ", ".join(str(item) for item in items[:RANKED])


def _group(answers: _Answers, column: str, value: str, rows: np.ndarray) -> ChangedGroup:
    changed = rows[answers.changed[rows]]
    nearer = answers.nearer[changed]
    mean = None if answers.difference is None else float(answers.difference[rows].mean())
    return ChangedGroup(
        column=column,
        value=value,
        rows=len(rows),
        changed=len(changed),
        right={side: int((nearer == place - 1).sum()) for place, side in enumerate(SIDES)},
        difference=mean,
    )


def _cases(answers: _Answers, truth: np.ndarray, names: list[str]) -> list[ChangedCase]:
    changed = np.flatnonzero(answers.changed)
    most = changed[np.argsort(-answers.size[changed], kind="stable")][:CASES]
    return [
        ChangedCase(
            case=names[row],
            truth=_ranked(truth[row]) if answers.kind == "ranking" else f"{truth[row]:.6g}",
            champion=answers.champion[row],
            challenger=answers.challenger[row],
            right=SIDES[int(answers.nearer[row]) + 1],
        )
        for row in most
    ]
