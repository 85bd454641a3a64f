"""What clients send: a stored week of rows, with the times at which they happened."""

from typing import TYPE_CHECKING

from demo.processes import DemoError, get, post
from mlops_assets.lifecycle.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

BATCH = 500
ROWS_A_WINDOW = 6_000
CM_AN_INCH = 2.54


def replay(spec: ModelSpec, server: str, frame: "pd.DataFrame", begins: str) -> int:
    """Send a window's rows to the endpoint as clients would; returns how many.

    Parameters
    ----------
    spec : ModelSpec
    server : str
    frame : DataFrame of shape (n_rows, n_columns)
        The window's features.
    begins : str
        ISO time. Rankings are asked then, before anything was bought, once for each unit.

    Raises
    ------
    DemoError
        When an answer is missing.
    """
    asked = _visits(spec, frame, begins) if not spec.task_type.tabular else _rows(spec, frame)
    names = {field["name"] for field in get(f"{server}/v2/models/{spec.name}")["inputs"]}
    columns = spec.columns
    sent = names | {c for c in (columns.time, columns.unit, *columns.join_key) if c is not None}
    records = asked[[c for c in asked if c in sent]].to_dict(orient="records")
    for start in range(0, len(records), BATCH):
        part = records[start : start + BATCH]
        answers = post(f"{server}/predict/{spec.name}", part)["predictions"]
        if len(answers) != len(part):
            raise DemoError(f"{spec.name}: {len(answers)} answers to {len(part)} questions")
    return len(records)


def in_inches(spec: ModelSpec, frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of a client that sends inches for centimetres: drift without a calendar."""
    features = spec.task_type.features(frame, spec.columns)
    return frame.assign(**{name: frame[name] / CM_AN_INCH for name in features})


def _visits(spec: ModelSpec, frame: "pd.DataFrame", begins: str) -> "pd.DataFrame":
    units = frame[[spec.columns.unit]].drop_duplicates()
    return units.assign(**{str(spec.columns.time): begins})


def _rows(spec: ModelSpec, frame: "pd.DataFrame") -> "pd.DataFrame":
    time = spec.columns.time
    rows = frame.iloc[:: max(1, len(frame) // ROWS_A_WINDOW)]
    return (
        rows if time is None else rows.assign(**{time: rows[time].map(lambda at: at.isoformat())})
    )
