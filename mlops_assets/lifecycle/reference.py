"""What a version's drift reports compare live traffic with, made when it is trained."""

from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.profiling import windows_counted
from mlops_assets.lifecycle.drift.reading import read
from mlops_assets.lifecycle.drift.scan import collect
from mlops_assets.lifecycle.drift.unit_codes import UNIT_CODE, unit_codes
from mlops_assets.lifecycle.drift.unit_counts import unit_of
from mlops_assets.lifecycle.drift.units import with_windows
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.training import TrainingData

SAMPLE_ROWS = 20_000
# Of each training window, to see how much answers vary from one to the next.
ANSWERED_ROWS = 2_000


def sample(spec: "ModelSpec", estimator: Any, unseen: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of the hold-out with answers and labels, to draw and to sample from.

    Rows the model was fitted on would not do: its answers to them are more certain than any
    that live traffic will get. Shape (n_rows <= 20,000, n_features + n_watched + 1 label), and one
    column more, `UNIT_CODE`, where units are declared; rankings have neither features nor a label.

    Raises
    ------
    EvidenceError
        When a feature has the name of that column.
    """
    import pandas as pd

    rows = _asked(spec, unseen, SAMPLE_ROWS)
    made = pd.concat([_known(spec, rows), _answers(spec, estimator, rows)], axis=1)
    unit = _unit(spec)
    if unit is None:
        return made
    if UNIT_CODE in made:
        raise EvidenceError(f"{spec.name}: no feature can be named {UNIT_CODE!r}")
    read_rows = read(rows, only=[unit])
    names = collect(read_rows.frame.select(unit_of(read_rows, unit))).to_series()
    return made.assign(**{UNIT_CODE: unit_codes(names)})


def _unit(spec: "ModelSpec") -> str | None:
    return spec.columns.unit if spec.task_type.tabular else None


def profile(
    spec: "ModelSpec", estimator: Any, data: "TrainingData", drawn: "pd.DataFrame"
) -> Profile:
    """The profile of the hold-out: features and labels of all its rows, answers of the sample.

    With it are the counts of each window that the version was trained and judged on, for the
    noise between windows. Answers to a training window are only compared with answers to other
    training windows.

    Parameters
    ----------
    drawn : DataFrame
        What `sample` gave.
    """
    unit = _unit(spec)
    made = Profile.of(_with_unit(_known(spec, data.unseen), data.unseen, unit), unit=unit)
    asked = _asked(spec, data.unseen, SAMPLE_ROWS)
    drawn = drawn.drop(columns=[c for c in (*made.names, UNIT_CODE) if c in drawn])
    answered = Profile.of(_with_unit(drawn, asked, unit), unit=unit)
    columns = [*made.columns, *answered.columns]
    rows = max(made.rows, answered.rows)
    held = len(set(data.by_window) - set(data.windows))
    made = made.model_copy(update={"columns": columns, "rows": rows, "pooled": held or None})
    if not data.by_window:
        return made
    known = {k: _with_unit(_known(spec, w), w, unit) for k, w in data.by_window.items()}
    made = windows_counted(made, known)
    seen = {k: _asked(spec, data.by_window[k], ANSWERED_ROWS) for k in data.windows}
    answers = {k: _with_unit(_answers(spec, estimator, w), w, unit) for k, w in seen.items()}
    made = windows_counted(made, answers)
    return made if unit is None else _with_units(made, known, answers, unit)


def _with_units(
    made: Profile, known: "dict[str, pd.DataFrame]", answers: "dict[str, pd.DataFrame]", unit: str
) -> Profile:
    """The rows a unit of windows: fewer where answers are of some rows only."""
    names = {name for frame in answers.values() for name in frame}
    all_rows, some = (with_windows(made, frames, unit) for frames in (known, answers))
    columns = [some[c.name] if c.name in names else all_rows[c.name] for c in made.columns]
    return made.model_copy(update={"columns": columns})


def _with_unit(frame: "pd.DataFrame", rows: "pd.DataFrame", unit: str | None) -> "pd.DataFrame":
    """With the unit of each row, where one is declared."""
    return frame if unit is None else frame.assign(**{unit: rows[unit].to_numpy()})


def _asked(spec: "ModelSpec", rows: "pd.DataFrame", most: int) -> "pd.DataFrame":
    task = spec.task_type
    if not task.tabular:
        rows = rows[task.features(rows, spec.columns)].drop_duplicates()
    return rows.sample(min(len(rows), most), random_state=0).reset_index(drop=True)


def _answers(spec: "ModelSpec", estimator: Any, rows: "pd.DataFrame") -> "pd.DataFrame":
    task = spec.task_type
    return task.monitored(task.answers(estimator, rows[task.features(rows, spec.columns)]))


def _known(spec: "ModelSpec", rows: "pd.DataFrame") -> "pd.DataFrame":
    """Features, and labels as they are joined to live answers, whatever the target's type."""
    task = spec.task_type
    if not task.tabular:
        return rows[[]]
    features = rows[task.features(rows, spec.columns)]
    return features.assign(**{spec.label_column: rows[spec.label_column].astype("float64")})
