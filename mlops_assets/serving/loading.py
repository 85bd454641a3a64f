"""From a registered version to one that can answer: verified, loaded, warmed up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.artifact import Serving, load_estimator, read_serving
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.packed.estimator import PackedEstimator
from mlops_assets.lifecycle.packed.worker import PACKED_FOLDER
from mlops_assets.lifecycle.registry import Registry, Version
from mlops_assets.lifecycle.tasks import TASKS, Task
from mlops_assets.serving.answers import Columns, first_not_finite
from mlops_assets.serving.arrays import batches_alike, for_arrays, matrix
from mlops_assets.serving.payload import RecordReader
from mlops_assets.serving.rows import Rows, Values, by_row

EXAMPLE_FILE = "input_example.json"


@dataclass(frozen=True)
class ServedModel:
    """A version that answers requests."""

    version: Version
    serving: Serving
    estimator: Any
    reader: RecordReader
    loaded_at: datetime
    # The same estimator, where it may be asked with arrays.
    nameless: Any = None
    # The version as plain arrays, where it has them.
    packed: PackedEstimator | None = None
    # Whether rows of several requests may be scored together.
    batches: bool = False

    @property
    def task(self) -> Task:
        """How the estimator is asked."""
        return TASKS[self.serving.task]

    def answers(self, flat: list[Any]) -> Columns:
        """What the version answers to features that stand row after row in a list.

        Raises
        ------
        RuntimeError
            When there is not one answer to each row: nobody could tell whose they are.
        Exception
            Whatever the estimator raises.
        """
        answers, rows = self._answers(flat), len(flat) // len(self.reader.names)
        if any(len(values) != rows for values in answers.values()):
            raise RuntimeError(f"{self.version} has not one answer to each of {rows} rows")
        return answers

    def _answers(self, flat: list[Any]) -> Columns:
        if self.packed is not None:
            return self.task.answer_columns(self.packed, self.packed.encode_flat(flat))
        rows = by_row(flat, len(self.reader.names))
        if self.nameless is not None:
            return self.task.answer_columns(self.nameless, matrix(rows))
        return self.task.answer_columns(self.estimator, self.reader.frame(rows))

    def answers_by_row(self, rows: Sequence[Values]) -> list[Values]:
        """The same to one tuple of features a row: one of answers a row."""
        return list(zip(*self.answers(list(chain.from_iterable(rows))).values(), strict=True))


def load(registry: Registry, version: Version, folder: Path) -> ServedModel:
    """Load a version from a copy of its files that is this user's alone.

    The copy is verified here, by whoever parses it: signature and digest.

    Raises
    ------
    ArtifactError
        When the files are not those that were registered, or not of this model.
    Exception
        Whatever the estimator raises when it answers its own input example.
    """
    registry.files.check_copy(version, folder)
    serving = read_serving(folder)
    if serving.model != version.model or serving.task not in TASKS:
        raise ArtifactError(
            f"the files of {version} describe {serving.model!r} of task {serving.task!r}"
        )
    arrays = folder / PACKED_FOLDER
    packed = PackedEstimator.load(arrays) if arrays.is_dir() else None
    trusted = registry.settings.trusted_types
    model = ServedModel(
        version=version,
        serving=serving,
        estimator=None if packed else load_estimator(folder, trusted),
        reader=RecordReader(serving),
        loaded_at=datetime.now(UTC),
        packed=packed,
    )
    rows = _example(model, folder / EXAMPLE_FILE)
    if packed is None:
        nameless = for_arrays(model.estimator, model.task, model.reader, rows.values)
        model = replace(model, nameless=nameless)
    _warm_up(model, rows)
    # That a packed version's answer does not depend on the batch was proved when it was made.
    alike = packed is not None or batches_alike(model.answers_by_row, rows.values)
    return replace(model, batches=alike)


def _example(model: ServedModel, example: Path) -> Rows:
    nothing = Rows(model.reader.names, 0, [])
    if not example.exists():
        return nothing
    # MLflow writes a missing number as NaN, which is not JSON; a client writes null.
    table = json.loads(example.read_text("utf-8"), parse_constant=lambda _: None)
    records = [dict(zip(table["columns"], values, strict=True)) for values in table["data"]]
    return model.reader.rows(records) if records else nothing


def _warm_up(model: ServedModel, rows: Rows) -> None:
    # The first prediction imports and compiles: it must not be a client's, and must not fail.
    if rows.count and first_not_finite(model.answers(rows.flat)) is not None:
        raise ArtifactError(f"{model.version} has no finite answer to its own example")
