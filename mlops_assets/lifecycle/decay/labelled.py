"""The answers of a window whose labels are complete, and how many labels that should be."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets.lifecycle.weights import weights_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.spec import ModelSpec


@dataclass(frozen=True)
class Window:
    """A version's answers in a window, and what is known of them.

    Parameters
    ----------
    rows : DataFrame
        The labelled rows of the live predictions.
    answered : Answered
        The same rows as metrics read them.
    due : int
        Answers old enough to have a complete label.
    known : int
        Of these, how many have one; for rankings "took nothing up" is known as well.
    """

    rows: "pd.DataFrame"
    answered: Answered
    due: int
    known: int


def labelled_window(spec: "ModelSpec", live: "pd.DataFrame", now: datetime) -> Window:
    """The rows of :func:`~mlops_assets.lifecycle.live.live_predictions` with a complete label.

    A label is complete ``columns.label_delay`` after the prediction: earlier, those that have
    arrived are not like those that have not.

    Raises
    ------
    EvidenceError
        When a weight is no number above 0, or the rows are of several versions.
    """
    import numpy as np

    if "version" in live and live["version"].nunique() > 1:
        found = ", ".join(f"v{v}" for v in sorted(live["version"].unique()))
        raise EvidenceError(f"{spec.name}: a performance report is of one version, not of {found}")
    label, weight, tabular = spec.label_column, spec.columns.weight, spec.task_type.tabular
    due = live[live["at"] + spec.columns.label_delay <= now]
    known = due[due[label].notna()]
    rows = known
    if tabular:
        rows = known[np.isfinite(known[label].to_numpy(dtype=np.float64))]
    else:
        # The hold-out, too, has only units that took something up.
        rows = known[np.array([len(items) > 0 for items in known[label]], dtype=bool)]
    if weight is not None:
        # How much a row counts for comes with its label: one without says nothing yet.
        rows = rows[rows[weight].notna()]
    return Window(rows, _answered(spec, rows), due=len(due), known=len(known))


def _answered(spec: "ModelSpec", rows: "pd.DataFrame") -> Answered:
    weights = weights_of(rows, spec.columns)
    # Who did not say which unit it is counts as one of its own.
    units = rows["unit"].where(rows["unit"].notna(), rows["prediction_id"])
    labels = _truth(rows[spec.label_column], spec.task_type.tabular)
    return Answered(
        truth=spec.task_type.scored_truth(labels, weights),
        answers=[json.loads(answer) for answer in rows["answer"]],
        weights=weights,
        units=units.to_numpy(dtype=str),
    )


def _truth(labels: "pd.Series", tabular: bool) -> "np.ndarray":
    import numpy as np

    if not tabular:
        truth = np.empty(len(labels), dtype=object)
        truth[:] = [list(items) for items in labels]
        return truth
    values = labels.to_numpy()
    # Whole numbers were made floats by the NaN of the labels not known yet.
    if values.dtype.kind == "f" and (values == np.rint(values)).all():
        return values.astype(np.int64)
    return values
