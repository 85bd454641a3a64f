"""What was asked and answered, row by row, beside what turned out to be true."""

import json
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import DeclarationError

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.columns import Columns
    from mlops_assets.lifecycle.prediction_log import Record
    from mlops_assets.lifecycle.spec import ModelSpec


def live_predictions(
    records: "list[Record]",
    truth: "pd.DataFrame | None",
    spec: "ModelSpec",
    earlier: "pd.DataFrame | None" = None,
) -> "pd.DataFrame":
    """One row for each prediction in the log, joined with ground truth.

    Parameters
    ----------
    records : list of Record
    truth : DataFrame or None
        The feature frame of the window; None when it is not there yet.
    spec : ModelSpec
    earlier : DataFrame or None
        Ranking: interactions before the window. An item in it is no news to its unit.

    Returns
    -------
    DataFrame of shape (n_records, 6 + n_features + n_watched)
        ``prediction_id``, ``version``, ``at`` (UTC), ``unit``, ``answer`` (JSON), the features,
        the watched columns of the answers, and ground truth: the target, NaN where it is not
        known; for rankings the list of items that the unit took up for the first time after
        ``at``, None where it is not known. Without records the features are those of ``truth``.

    Raises
    ------
    DeclarationError
        When a feature has the name of another column of this frame, or a join key is not in
        ``truth``.
    """
    import pandas as pd

    own = pd.DataFrame(
        {
            "prediction_id": [r.prediction_id for r in records],
            "version": pd.Series([r.version for r in records], dtype="int64"),
            "at": pd.to_datetime([r.at for r in records], utc=True).as_unit("us"),
            "unit": pd.Series([r.unit for r in records], dtype=object),
            "answer": [json.dumps(r.answer, separators=(",", ":")) for r in records],
        }
    )
    watched = spec.task_type.monitored([r.answer for r in records])
    if spec.task_type.tabular:
        labels = _labels(records, truth, spec)
    else:
        labels = _taken_up(records, truth, earlier, spec.columns)
    frame = pd.concat([own, _features(records, truth, spec), watched, labels], axis=1)
    clashes = sorted(set(frame.columns[frame.columns.duplicated()]))
    if clashes:
        raise DeclarationError(
            f"{spec.name}: the live predictions have a column {clashes[0]!r} of their own: "
            "rename the feature, unit or target"
        )
    return frame


def _features(records, truth, spec: "ModelSpec") -> "pd.DataFrame":
    import pandas as pd

    known = [] if truth is None else spec.task_type.features(truth, spec.columns)
    names = dict.fromkeys([*known, *(name for r in records for name in r.features)])
    return pd.DataFrame(
        {name: _one_type(pd.Series([r.features.get(name) for r in records])) for name in names},
        index=range(len(records)),
    )


def _one_type(values: "pd.Series") -> "pd.Series":
    from pandas.api.types import infer_dtype

    # Two versions of one window may have a feature in two types, which no Parquet column holds;
    # as text, the drift report of the version that had a number calls the column broken.
    mixed = values.dtype == object and infer_dtype(values, skipna=True).startswith("mixed")
    return values.map(str, na_action="ignore") if mixed else values


def _labels(records, truth, spec: "ModelSpec") -> "pd.Series":
    """The target by join key; a key that leads to two different labels leads to none."""
    import pandas as pd

    columns = spec.columns
    if truth is None or not columns.join_key:
        return pd.Series(float("nan"), index=range(len(records)), name=columns.target)
    missing = [c for c in columns.join_key if c not in truth.columns]
    if missing:
        raise DeclarationError(
            f"{spec.name}: ground truth is joined by {columns.join_key}, and the feature frame "
            f"has no {missing[0]!r}"
        )
    asked: dict[Any, pd.Series] = {}
    known: dict[Any, pd.Series] = {}
    for place, name in enumerate(columns.join_key):
        is_time = truth[name].dtype.kind == "M"
        values = pd.Series([_key_value(r, name, columns) for r in records], dtype=object)
        asked[place] = _joinable(values, is_time)
        known[place] = _joinable(truth[name], is_time)
    found = pd.DataFrame({**known, "label": truth[columns.target]}).dropna().drop_duplicates()
    found = found[~found.duplicated(list(asked), keep=False)]
    joined = pd.DataFrame(asked).merge(found, how="left", on=list(asked), validate="m:1")
    return joined["label"].rename(columns.target)


def _key_value(record: "Record", name: str, columns: "Columns") -> Any:
    if name == columns.time:
        return record.at
    if name in record.key:
        return record.key[name]
    return record.unit if name == columns.unit else record.features.get(name)


def _joinable(values: "pd.Series", is_time: bool) -> "pd.Series":
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


def _taken_up(records, truth, earlier, columns: "Columns") -> "pd.Series":
    import pandas as pd

    labels = pd.Series([None] * len(records), dtype=object, name=columns.item)
    if truth is None or columns.time is None:
        return labels
    after = _first_taken(records, [f for f in (earlier, truth) if f is not None], columns)
    for place, record in enumerate(records):
        taken = after.get(record.unit, [])
        labels.iat[place] = [item for item, at in taken if at > record.at]
    return labels


def _first_taken(records, frames, columns: "Columns") -> dict[str, list[tuple[str, Any]]]:
    """Items of each unit that asked, with the time at which it took them up first."""
    import pandas as pd

    units = {r.unit for r in records}
    taken = pd.concat(
        [
            pd.DataFrame(
                {
                    "unit": _joinable(f[columns.unit], is_time=False),
                    "item": _joinable(f[columns.item], is_time=False),
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
