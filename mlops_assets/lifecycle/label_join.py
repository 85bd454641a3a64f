"""Which label belongs to which answer: four sources, asked in order.

1. feedback that names the prediction's id,
2. feedback that names its unit and event time,
3. the batch source (``labels`` in the declaration),
4. the target of the feature frame.

The first that knows decides. A source that contradicts itself (two labels of one moment, two rows
of one key) or the task (a 7 where 0 and 1 are) leads to no label, and none of a later source
either: it is counted.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.ground_truth import Feedback, place_of
from mlops_assets.lifecycle.label import impossible

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.columns import Columns
    from mlops_assets.lifecycle.prediction_log import Record
    from mlops_assets.lifecycle.spec import ModelSpec

CONFLICT = object()
PREDICTION_ID = "prediction_id"


@dataclass(frozen=True)
class LabelJoin:
    """The labels of some answers.

    Parameters
    ----------
    values : Series of shape (n_records,)
        The target, NaN where it is not known; for rankings lists of items, None where not known.
    conflicts : int
        Answers for which a source contradicts itself or the task.
    by_source : dict of str to int
        How many labels each source gave.
    weights : Series of shape (n_records,) or None
        ``columns.weight`` of each answer, NaN where it is not known; None where none is declared.
    """

    values: "pd.Series"
    conflicts: int
    by_source: dict[str, int]
    weights: "pd.Series | None" = None


def join_labels(
    records: "list[Record]",
    truth: "pd.DataFrame | None",
    spec: "ModelSpec",
    earlier: "pd.DataFrame | None" = None,
    *,
    feedback: Feedback | None = None,
    batch: "pd.DataFrame | None" = None,
) -> LabelJoin:
    """The label of each answer, see the order above.

    Parameters
    ----------
    records : list of Record
    truth : DataFrame or None
        The feature frame of the window; None when it is not there yet.
    spec : ModelSpec
    earlier : DataFrame or None
        Ranking: interactions before the window. An item in it is no news to its unit.
    feedback : Feedback or None
        See `FeedbackLog.known`.
    batch : DataFrame or None
        The batch source's rows of the window: ``columns.target``, and ``prediction_id`` or
        ``columns.key`` (or unit and time). Ranking: ``columns.item``, one row an item, and
        ``prediction_id``, or unit and time of the interaction, which then counts as the feature
        frame's rows do.

    Raises
    ------
    DeclarationError
        When a column to join by is missing in ``truth`` or ``batch``.
    """
    feedback = feedback or Feedback()
    sources = {
        "feedback by prediction id": [
            _told(feedback.by_prediction, r.prediction_id, spec) for r in records
        ],
        "feedback by unit and time": [_told(feedback.by_place, place_of(r), spec) for r in records],
    }
    if spec.task_type.tabular:
        sources["batch"] = _by_rows(records, batch, spec, "the batch source of labels")
        sources["features"] = _by_rows(records, truth, spec, "the feature frame")
    else:
        by_id = batch is not None and PREDICTION_ID in batch.columns
        sources["batch"] = _items_by_id(records, batch, spec) if by_id else [None] * len(records)
        frames = [f for f in (truth, None if by_id else batch) if f is not None]
        sources["features"] = _taken_up(records, frames, earlier, spec.columns)
    labels = _first_that_knows(sources, len(records), spec)
    return replace(labels, weights=_weights(records, truth, batch, spec))


def _weights(records, truth, batch, spec: "ModelSpec") -> "pd.Series | None":
    """What each answer counts for: from the batch source where it has the column, else features."""
    import pandas as pd

    name = spec.columns.weight
    if name is None:
        return None
    given = batch if batch is not None and name in batch.columns else None
    found = [
        first if first is not None else second
        for first, second in zip(
            _by_rows(records, given, spec, "the batch source of labels", name),
            _by_rows(records, truth, spec, "the feature frame", name),
            strict=True,
        )
    ]
    weights = [None if weight is CONFLICT else weight for weight in found]
    return pd.Series(weights, dtype="float64", name=name)


def _told(known: dict, name: Any, spec: "ModelSpec") -> Any:
    if name not in known:
        return None
    value = known[name]
    return CONFLICT if value is None or impossible(value, spec.task) else value


def _first_that_knows(sources: dict[str, list], rows: int, spec: "ModelSpec") -> LabelJoin:
    import pandas as pd

    found: list[Any] = [None] * rows
    by_source = {}
    for name, labels in sources.items():
        new = [place for place in range(rows) if found[place] is None]
        for place in new:
            found[place] = labels[place]
        by_source[name] = sum(
            found[place] is not None and found[place] is not CONFLICT for place in new
        )
    conflicts = sum(label is CONFLICT for label in found)
    values: list[Any] = [None if label is CONFLICT else label for label in found]
    if not spec.task_type.tabular:
        values = [None if value is None else list(value) for value in values]
    dtype = "float64" if spec.task_type.tabular else object
    return LabelJoin(pd.Series(values, dtype=dtype, name=spec.label_column), conflicts, by_source)


def _by_rows(
    records, frame: "pd.DataFrame | None", spec: "ModelSpec", what: str, column: str | None = None
) -> list:
    """A column (the target) by prediction id or join key; a key that leads to two is a conflict."""
    import pandas as pd

    columns = spec.columns
    by_id = frame is not None and PREDICTION_ID in frame.columns
    names = [PREDICTION_ID] if by_id and what != "the feature frame" else columns.join_key
    if frame is None or not names:
        return [None] * len(records)
    missing = [c for c in names if c not in frame.columns]
    if missing:
        raise DeclarationError(
            f"{spec.name}: ground truth is joined by {names}, and {what} has no {missing[0]!r}"
        )
    column = column or columns.target
    if column not in frame.columns:
        raise DeclarationError(f"{spec.name}: {what} has no {column!r}")
    asked: dict[Any, pd.Series] = {}
    known: dict[Any, pd.Series] = {}
    for place, name in enumerate(names):
        is_time = frame[name].dtype.kind == "M"
        values = pd.Series([_key_value(r, name, columns) for r in records], dtype=object)
        asked[place] = joinable(values, is_time)
        known[place] = joinable(frame[name], is_time)
    found = pd.DataFrame({**known, "label": frame[column]}).dropna().drop_duplicates()
    found["twice"] = found.duplicated(list(asked), keep=False)
    found = found.drop_duplicates(list(asked))
    joined = pd.DataFrame(asked).merge(found, how="left", on=list(asked), validate="m:1")
    return [
        CONFLICT if twice is True else None if pd.isna(label) else label
        for label, twice in zip(joined["label"], joined["twice"], strict=True)
    ]


def _key_value(record: "Record", name: str, columns: "Columns") -> Any:
    if name == PREDICTION_ID:
        return record.prediction_id
    if name == columns.time:
        return record.at
    if name in record.key:
        return record.key[name]
    return record.unit if name == columns.unit else record.features.get(name)


def joinable(values: "pd.Series", is_time: bool) -> "pd.Series":
    """Keys in the one form that JSON and every dtype share; what can't be a key is null."""
    import pandas as pd

    if not is_time:
        return values.astype(object).map(_text, na_action="ignore").astype(object)
    moments = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce")
    # The log holds microseconds; nanoseconds in the data would never be met.
    return moments.dt.as_unit("us")


def _text(value: Any) -> str:
    # An integer column with a null in it becomes one of floats.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _items_by_id(records, batch: "pd.DataFrame", spec: "ModelSpec") -> list:
    item = spec.columns.item
    if item not in batch.columns:
        raise DeclarationError(f"{spec.name}: the batch source of labels has no {item!r}")
    ids = joinable(batch[PREDICTION_ID], is_time=False)
    items = joinable(batch[item], is_time=False).groupby(ids).agg(lambda each: sorted({*each}))
    taken = items.to_dict()
    return [taken.get(r.prediction_id) for r in records]


def _taken_up(records, frames, earlier, columns: "Columns") -> list:
    if not frames or columns.time is None:
        return [None] * len(records)
    after = _first_taken(records, [f for f in (earlier, *frames) if f is not None], columns)
    return [[item for item, at in after.get(r.unit, []) if at > r.at] for r in records]


def _first_taken(records, frames, columns: "Columns") -> dict[str, list[tuple[str, Any]]]:
    """Items of each unit that asked, with the time at which it took them up first."""
    import pandas as pd

    units = {r.unit for r in records}
    taken = pd.concat(
        [
            pd.DataFrame(
                {
                    "unit": joinable(f[columns.unit], is_time=False),
                    "item": joinable(f[columns.item], is_time=False),
                    "at": pd.to_datetime(f[columns.time], utc=True),
                }
            )
            for f in frames
        ]
    )
    taken = taken[taken["unit"].isin(units)]
    first = taken.groupby(["unit", "item"], sort=True)["at"].min().reset_index()
    return {
        unit: list(zip(rows["item"], rows["at"], strict=True))
        for unit, rows in first.groupby("unit")
    }
