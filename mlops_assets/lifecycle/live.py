"""What was asked and answered, row by row, beside what turned out to be true."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.label_join import LabelJoin

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.prediction_log import Record
    from mlops_assets.lifecycle.spec import ModelSpec


def live_predictions(
    records: "list[Record]",
    truth: "pd.DataFrame | None",
    spec: "ModelSpec",
    labels: LabelJoin,
) -> "pd.DataFrame":
    """One row for each prediction in the log, joined with ground truth.

    Parameters
    ----------
    records : list of Record
    truth : DataFrame or None
        The feature frame of the window; None when it is not there yet.
    spec : ModelSpec
    labels : LabelJoin
        What is known to be true of the records, from `join_labels`.

    Returns
    -------
    DataFrame of shape (n_records, 6 + n_features + n_watched)
        ``prediction_id``, ``version``, ``at`` (UTC), ``unit``, ``answer`` (JSON), the features,
        the watched columns of the answers, and ground truth: the target, NaN where it is not
        known; for rankings the list of items that the unit took up for the first time after
        ``at``, None where it is not known. ``columns.weight``, where it is declared, comes with the
        labels and is NaN where it is not known. Without records the features are those of
        ``truth``.

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
    known = [labels.values] if labels.weights is None else [labels.values, labels.weights]
    frame = pd.concat([own, _features(records, truth, spec), watched, *known], axis=1)
    clashes = sorted(set(frame.columns[frame.columns.duplicated()]))
    if clashes:
        raise DeclarationError(
            f"{spec.name}: the live predictions have a column {clashes[0]!r} of their own: "
            "rename the feature, unit or target"
        )
    return frame


def complete_labels(live: "pd.DataFrame", spec: "ModelSpec", now: datetime) -> "pd.DataFrame":
    """Live predictions without labels that are younger than ``columns.label_delay``.

    A source may tell a label from the first day on, and it is not yet what it will be: none of the
    claims of a policy that began yesterday are known.

    Parameters
    ----------
    live : DataFrame
        Of :func:`live_predictions`.
    now : datetime
        Aware.
    """
    complete = live["at"] + spec.columns.label_delay <= now
    if complete.all():
        return live
    return live.assign(**{spec.label_column: live[spec.label_column].where(complete, None)})


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
