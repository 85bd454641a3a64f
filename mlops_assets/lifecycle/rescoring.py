"""Scoring a logged prediction again, and comparing with what was answered, bit by bit."""

import struct
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from mlops_assets.lifecycle.artifact import load_estimator, read_serving
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.prediction_log import Record
from mlops_assets.lifecycle.registry import Registry, Version
from mlops_assets.lifecycle.reports import Report
from mlops_assets.lifecycle.tasks import TASKS, Task

PACKED_FOLDER = "packed"


class Rescored(Report):
    """A prediction scored again by one form of its version.

    Attributes
    ----------
    form : {"estimator", "packed"}
    how : str
        Alone, or among the rows of its request: linear algebra may round otherwise by how many
        rows there are.
    same : bool
        Every number of the answer is the same to the bit.
    differs : tuple of str
        What is not, with both values.
    """

    form: Literal["estimator", "packed"]
    how: str
    same: bool
    answer: dict[str, Any]
    differs: tuple[str, ...] = ()


def rescore(
    registry: Registry, version: Version, record: Record, request: Callable[[], list[Record]]
) -> list[Rescored]:
    """Score a record's features again with the verified version, in each form that it has.

    Parameters
    ----------
    request : callable
        Gives the records that were answered in one request with it, itself among them.

    Raises
    ------
    ArtifactError
        When the version's files are not those that were registered.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    with TemporaryDirectory(prefix="mlops-explain-") as name, threadpool_limits(1):
        folder = registry.files.take(version, Path(name))
        task = TASKS[read_serving(folder).task]
        forms: dict[Literal["estimator", "packed"], Any] = {
            "estimator": load_estimator(folder, registry.settings.trusted_types)
        }
        if (folder / PACKED_FOLDER).is_dir():
            from mlops_assets.lifecycle.packed.estimator import PackedEstimator

            forms["packed"] = PackedEstimator.load(folder / PACKED_FOLDER)
        features = read_serving(folder).features
        with parallel_config("sequential"):
            return [
                _compared(form, task, estimator, features, record, request)
                for form, estimator in forms.items()
            ]


def differences(then: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    """What two answers do not have in common, to the bit."""
    return tuple(
        f"{name}: {then.get(name)!r} was answered, {now.get(name)!r} now"
        for name in dict.fromkeys([*then, *now])
        if _bits(then.get(name)) != _bits(now.get(name))
    )


def _compared(
    form: Literal["estimator", "packed"],
    task: Task,
    estimator: Any,
    features: list,
    record: Record,
    request: Callable[[], list[Record]],
) -> Rescored:
    (alone,) = _answers(form, task, estimator, features, [record])
    differs = differences(record.answer, alone)
    how, answer = "alone", alone
    together = request() if differs else []
    if len(together) > 1:
        among = _answers(form, task, estimator, features, together)
        place = [other.prediction_id for other in together].index(record.prediction_id)
        if not differences(record.answer, among[place]):
            how = f"among the {len(together)} rows of its request"
            answer, differs = among[place], ()
    return Rescored(form=form, how=how, same=not differs, answer=answer, differs=differs)


def _answers(
    form: str, task: Task, estimator: Any, features: list, records: list[Record]
) -> list[dict[str, Any]]:
    for record in records:
        missing = [f.name for f in features if f.name not in record.features]
        if missing:
            raise ArtifactError(f"the log has no {', '.join(missing)} of {record.prediction_id}")
    if form == "packed":
        rows = [tuple(r.features[f.name] for f in features) for r in records]
        return task.answers(estimator, estimator.encode(rows))
    import pandas as pd

    columns = {
        f.name: pd.Series([r.features[f.name] for r in records], dtype=f.dtype) for f in features
    }
    return task.answers(estimator, pd.DataFrame(columns))


def _bits(value: Any) -> Any:
    """A value that equals another when both are the same to the bit."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, list | tuple):
        return [_bits(each) for each in value]
    return (type(value).__name__, value)
