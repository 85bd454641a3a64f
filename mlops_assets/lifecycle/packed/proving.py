"""The proof that a packed model answers as its estimator does, bit by bit.

A packed model gives every row what the estimator gives that row alone. Asking an estimator row by
row takes hours where one batch takes seconds, so the batch is asked first, and a row whose bits
differ there is asked alone. No tree differs. Linear models do: BLAS adds one row up in another
order than many, and in 20 to 80 % of the rows the last bit depends on the batch. So does
HistGradientBoosting from eight classes on, whose softmax numpy adds up by columns in a batch and in
pairs in one row.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from mlops_assets.lifecycle.packed import adversary
from mlops_assets.lifecycle.packed.adversary import spread
from mlops_assets.lifecycle.packed.errors import NotPackable, RowRefused
from mlops_assets.lifecycle.packed.model import PackedModel
from mlops_assets.lifecycle.packed.outputs import RANKING
from mlops_assets.lifecycle.tasks import TASKS, Task

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 10_000
# Rows asked alone: some of those that agree in the batch, and those that don't, up to a limit.
ALONE_ANYWAY = 16
ALONE_AT_MOST = 20_000
CLOSE = 1e-9
RANKED = (1, 10, 100)


class Proof(BaseModel):
    """What was compared, all of it equal.

    Attributes
    ----------
    hold_out_rows, adversarial_rows : int
    alone : int
        How many were asked alone, of the estimator and of the packed model.
    batch_dependent : int
        Hold-out rows whose bits are others in a batch of the estimator's. They were asked alone,
        evenly spread where there are more than 20,000, and agree to 1e-9 in the batch.
    refused : int
        Adversarial rows that both refuse.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hold_out_rows: int
    adversarial_rows: int
    alone: int
    batch_dependent: int
    refused: int


def prove(folder: Path, estimator: Any, frame: "pd.DataFrame", task: str) -> Proof:
    """Compare a packed model with its estimator.

    Parameters
    ----------
    folder : Path
        What ``pack`` has written.
    estimator : fitted estimator
    frame : DataFrame of shape (n, n_features)
        The hold-out's features; for a ranking its units in one column.
    task : str

    Raises
    ------
    NotPackable
        Naming the first row that differs, or on a hold-out without rows.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    if frame.empty:
        raise NotPackable("there is no hold-out to prove anything on")
    model = PackedModel.load(folder)
    model.warm_up()
    # Threads add a forest's trees up in another order each time.
    with threadpool_limits(1), parallel_config("sequential"), warnings.catch_warnings():
        # Of huge numbers and unknown categories, which are asked on purpose.
        warnings.simplefilter("ignore")
        if task == RANKING:
            return _prove_ranking(model, estimator, frame.iloc[:, 0].to_numpy())
        return _Comparison(model, estimator, TASKS[task]).prove(frame)


def json_rows(model: PackedModel, frame: "pd.DataFrame") -> list[list[Any]]:
    """The rows of a frame as the JSON values that a client would send.

    Raises
    ------
    NotPackable
        When missing text is anything but None: sent as null it would be None.
    """
    columns = []
    for feature, name in zip(model.features, frame.columns, strict=True):
        values = frame[name].astype(object).where(frame[name].notna(), None).tolist()
        if feature.kind == "text" and frame[name].dtype == object:
            strange = [v for v in frame[name] if v is not None and type(v) is not str]
            if strange:
                raise NotPackable(f"feature {name!r} holds {strange[0]!r}, which is no text")
        columns.append(values)
    return [list(row) for row in zip(*columns, strict=True)]


class _Comparison:
    def __init__(self, model: PackedModel, estimator: Any, task: Task):
        self.model, self.estimator, self.task = model, estimator, task
        self.alone = self.batch_dependent = self.refused = 0

    def prove(self, frame: "pd.DataFrame") -> Proof:
        starts = range(0, len(frame), CHUNK)
        for start in starts:
            chunk = frame.iloc[start : start + CHUNK].reset_index(drop=True)
            self._batch(chunk, start, "hold-out row", ALONE_AT_MOST // len(starts))
        strange = adversary.rows(self.model, frame.reset_index(drop=True))
        self._adversarial(strange)
        return Proof(
            hold_out_rows=len(frame),
            adversarial_rows=len(strange),
            alone=self.alone,
            batch_dependent=self.batch_dependent,
            refused=self.refused,
        )

    def _batch(
        self, frame: "pd.DataFrame", start: int, what: str, alone_at_most: int = ALONE_AT_MOST
    ) -> None:
        try:
            expected = self.task.scores(self.estimator, frame)
        except ValueError as error:
            raise NotPackable(f"the estimator refuses a {what}: {error}") from error
        matrix = self.model.encode(json_rows(self.model, frame))
        try:
            found = self.model.scores(matrix)
        except RowRefused as error:
            raise NotPackable(f"the arrays refuse a {what}: {error}") from error
        if found.shape != expected.shape or expected.dtype != np.float64:
            raise NotPackable(
                f"the estimator answers {expected.dtype} of shape {expected.shape}, the arrays "
                f"{found.dtype} of shape {found.shape}"
            )
        differ = np.flatnonzero(~same_rows(found, expected))
        self.batch_dependent += len(differ)
        for row in spread(np.arange(len(frame)), ALONE_ANYWAY if start == 0 else 1):
            expected_alone = self.task.scores(self.estimator, frame.iloc[[row]])[0]
            self._alone(expected_alone, matrix, row, found[row], f"{what} {start + row}")
        asked = spread(differ, alone_at_most)
        for row, expected_alone in zip(asked, self._predicted_alone(frame, asked), strict=True):
            self._alone(expected_alone, matrix, row, found[row], f"{what} {start + row}")
        rest = np.setdiff1d(differ, asked)
        close = np.isclose(found[rest], expected[rest], rtol=CLOSE, atol=0, equal_nan=True)
        for row in rest[~_by_row(close)][:1]:
            raise _differs(f"{what} {start + row}", expected[row], found[row])

    def _predicted_alone(self, frame: "pd.DataFrame", rows: list[int]) -> Iterator[Any]:
        """What the estimator answers to each row alone.

        Of a pipeline, only the last step is asked so: those before it compute each number by
        itself, as the rows asked alone of the whole show, and take a hundred times as long.
        """
        from sklearn.pipeline import Pipeline

        if not rows:
            return
        if type(self.estimator) is Pipeline and len(self.estimator.steps) > 1:
            prepared, last = self.estimator[:-1].transform(frame), self.estimator[-1]
            # BLAS adds up a row with gaps between its numbers in another order, too.
            prepared = np.ascontiguousarray(prepared) if type(prepared) is np.ndarray else prepared
            for row in rows:
                yield self.task.scores(last, prepared[row : row + 1])[0]
        else:
            for row in rows:
                yield self.task.scores(self.estimator, frame.iloc[[row]])[0]

    def _alone(self, expected, matrix, row: int, found, where: str) -> None:
        """Compare one row asked alone; ``found`` is the packed answer in its batch."""
        self.alone += 1
        alone = self.model.scores(matrix[row : row + 1])[0]
        if not same_rows(np.atleast_1d(alone), np.atleast_1d(found)).all():
            raise NotPackable(f"{where}: alone the arrays answer {alone}, in a batch {found}")
        if not same_rows(np.atleast_1d(alone), np.atleast_1d(expected)).all():
            raise _differs(where, expected, alone)

    def _adversarial(self, frame: "pd.DataFrame") -> None:
        """One batch of all rows that are answered; those that are not are refused alone by both."""
        matrix = self.model.encode(json_rows(self.model, frame))
        answered = [row for row in range(len(frame)) if self._answers(matrix, row)]
        refused = sorted(set(range(len(frame))) - set(answered))
        for row in refused:
            try:
                expected = self.task.scores(self.estimator, frame.iloc[[row]])
            except ValueError:
                self.refused += 1
            else:
                raise NotPackable(
                    f"adversarial row {row} {_shown(frame, row)}: the estimator answers "
                    f"{expected[0]}, the arrays refuse it"
                )
        counted = self.batch_dependent
        kept = frame.iloc[answered].reset_index(drop=True)
        self._batch(kept, 0, "adversarial row")
        self.batch_dependent = counted

    def _answers(self, matrix: np.ndarray, row: int) -> bool:
        try:
            self.model.scores(matrix[row : row + 1])
        except RowRefused:
            return False
        return True


def _differs(where: str, expected: Any, found: Any) -> NotPackable:
    return NotPackable(f"{where}: the estimator answers {expected!r}, the arrays {found!r}")


def same_rows(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which rows are equal in every bit; any NaN equals any other. Shape (n,) of bool."""
    one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
    same = one.view(np.int64) == other.view(np.int64)
    same |= np.isnan(one) & np.isnan(other)
    return _by_row(same)


def _by_row(same: np.ndarray) -> np.ndarray:
    return np.all(same, axis=tuple(range(1, same.ndim)), keepdims=True).reshape(len(same))


def _prove_ranking(model: PackedModel, estimator: Any, units: np.ndarray) -> Proof:
    known = np.unique(np.asarray(units, dtype=str))
    strange = ["", "no such unit", "\u00e9" * 500, f"{known[0]} ", f"{known[0]}x"]
    alone = 0
    for k in RANKED:
        for asked in (*_chunks(known), np.array(strange, dtype=object)):
            _same_ranking(model, estimator, asked, k)
        for unit in known[:: max(1, len(known) // ALONE_ANYWAY)]:
            _same_ranking(model, estimator, np.array([unit]), k)
            alone += 1
    return Proof(
        hold_out_rows=len(known),
        adversarial_rows=len(strange),
        alone=alone,
        batch_dependent=0,
        refused=0,
    )


def _chunks(units: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(units), CHUNK):
        yield units[start : start + CHUNK]


def _same_ranking(model: PackedModel, estimator: Any, units: np.ndarray, k: int) -> None:
    items, scores = model.recommend(units, k)
    expected_items, expected_scores = estimator.recommend(units, k)
    same = same_rows(scores, expected_scores) & (items == expected_items).all(axis=1)
    if not same.all():
        first = int(np.argmin(same))
        raise NotPackable(
            f"unit {units[first]!r}: the estimator recommends {expected_items[first][:3]}, "
            f"the arrays {items[first][:3]}"
        )


def _shown(frame: "pd.DataFrame", row: int) -> str:
    return str(frame.iloc[row].to_dict())[:200]
