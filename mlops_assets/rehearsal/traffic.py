"""What would have been asked in a span of time, answered by who served then, and logged."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.keys import VALIDATED_FEATURES, key
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.fingerprint import digest_of
from mlops_assets.lifecycle.prediction_log import Record
from mlops_assets.lifecycle.prediction_log.record import encode
from mlops_assets.lifecycle.registry import CHAMPION, Registry
from mlops_assets.lifecycle.window import Window
from mlops_assets.rehearsal.copy import Copy

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.artifact import Feature
    from mlops_assets.lifecycle.settings import Settings
    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.version import Version

AT_ONCE = 5_000
ID_DIGITS = 24


def answer(copy: Copy, window: Window, start: datetime, end: datetime) -> int:
    """Ask the champion about the rows of a window that happened in ``[start, end)``.

    What is in the log already is left out, so that a replay which was cut off asks nothing twice.

    Returns
    -------
    int
        Rows that were asked now.

    Raises
    ------
    EvidenceError
        When nothing serves.
    """
    import pandas as pd

    spec, platform = copy.spec, copy.platform(end)
    frame = copy.frames.load(key(spec, VALIDATED_FEATURES), window.key)
    times = pd.to_datetime(frame[spec.columns.time], utc=True)
    chosen = ((times >= start) & (times < end)).to_numpy()
    log = platform.prediction_log
    known = {r.prediction_id for r in log.read(spec.name, start, end).records}
    ids = prediction_ids(spec, window, len(frame))
    chosen &= ~pd.Series(ids).isin(known).to_numpy()
    if not chosen.any():
        return 0
    champion = platform.registry.at(spec.name, CHAMPION)
    if champion is None:
        raise EvidenceError(f"{spec.name} has no champion: nothing answers")
    rows = frame[chosen]
    answers, names = _answers(platform.settings, spec, champion, rows)
    asked = [name for name, taken in zip(ids, chosen, strict=True) if taken]
    records = _records(spec, champion, rows, times[chosen], asked, answers, names)
    documents = [encode(record) for record in records]
    for first in range(0, len(documents), AT_ONCE):
        log.append_documents(spec.name, documents[first : first + AT_ONCE])
    log.close()
    return len(documents)


def prediction_ids(spec: "ModelSpec", window: Window, rows: int) -> list[str]:
    """Ids of a window's rows in their order: the same under every policy."""
    head = digest_of("rehearsal", spec.name, window.key)[:ID_DIGITS]
    return [f"{head}{number:08x}" for number in range(rows)]


def row_of(prediction_id: str) -> int:
    """The place of a prediction's row in the feature frame of its window."""
    return int(prediction_id[ID_DIGITS:], 16)


def _answers(
    settings: "Settings", spec: "ModelSpec", version: "Version", rows: "pd.DataFrame"
) -> tuple[list[dict[str, Any]], list[str]]:
    """What a version answers, and the features that it sees."""
    estimator, features = _loaded(settings, version.model, version.number)
    missing = [f.name for f in features if f.name not in rows.columns]
    if missing:
        raise EvidenceError(f"{version} needs {', '.join(missing)}, which the window has not")
    asked = rows[[f.name for f in features]].reset_index(drop=True)
    asked = asked.astype({f.name: f.dtype for f in features if f.dtype != "category"})
    return spec.task_type.answers(estimator, asked), [f.name for f in features]


@lru_cache(maxsize=2)
def _loaded(settings: "Settings", model: str, number: int) -> "tuple[Any, list[Feature]]":
    """A version's estimator, verified, and its features: one version answers many spans."""
    from mlops_assets.lifecycle.artifact import read_serving

    registry = Registry(settings)
    version = registry.version(model, number)
    with TemporaryDirectory(prefix="mlops-replay-") as name:
        folder = registry.files.take(version, Path(name))
        return registry.files.read(version, folder), read_serving(folder).features


def _records(
    spec: "ModelSpec",
    version: "Version",
    rows: "pd.DataFrame",
    times: "pd.Series",
    ids: list[str],
    answers: list[dict[str, Any]],
    names: list[str],
) -> Iterator[Record]:
    columns = spec.columns
    values = _plain(rows[names])
    keys = _plain(rows[columns.key])
    units = [None] * len(rows) if columns.unit is None else _plain(rows[[columns.unit]])
    for place, moment in enumerate(t.to_pydatetime() for t in times):
        unit = units[place]
        yield Record(
            prediction_id=ids[place],
            model=spec.name,
            version=version.number,
            run_id=version.run_id,
            unit=None if unit is None or unit[0] is None else str(unit[0]),
            at=moment,
            logged_at=moment,
            features=dict(zip(names, values[place], strict=True)),
            key=dict(zip(columns.key, keys[place], strict=True)),
            answer=answers[place],
            latency_ms=0.0,
            variant=CHAMPION,
        )


def _plain(frame: "pd.DataFrame") -> "list[tuple[Any, ...]]":
    """Rows as JSON has them, None for what is missing."""
    if not len(frame.columns):
        return [()] * len(frame)
    columns = [_plain_column(frame[name]) for name in frame.columns]
    return list(zip(*columns, strict=True))


def _plain_column(column: "pd.Series") -> list[Any]:
    values: np.ndarray = column.astype(object).where(column.notna(), None).to_numpy()
    if column.dtype.kind in "mM":
        return [None if v is None else str(v) for v in values]
    return values.tolist()
