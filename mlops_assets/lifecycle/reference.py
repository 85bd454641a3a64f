"""What a version's drift reports compare live traffic with, made when it is trained."""

from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.profiling import windows_counted

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
    that live traffic will get. Shape (n_rows <= 20,000, n_features + n_watched + 1 label);
    rankings have neither features nor a label.
    """
    import pandas as pd

    rows = _asked(spec, unseen, SAMPLE_ROWS)
    answers = _answers(spec, estimator, rows)
    return pd.concat([_known(spec, rows), answers], axis=1)


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
    known = _known(spec, data.unseen)
    made = Profile.of(known)
    answered = Profile.of(drawn.drop(columns=list(known.columns)))
    columns = [*made.columns, *answered.columns]
    rows = max(made.rows, answered.rows)
    made = made.model_copy(update={"columns": columns, "rows": rows})
    if not data.by_window:
        return made
    made = windows_counted(made, {k: _known(spec, rows) for k, rows in data.by_window.items()})
    seen = {k: _asked(spec, data.by_window[k], ANSWERED_ROWS) for k in data.windows}
    answers = {k: _answers(spec, estimator, rows) for k, rows in seen.items()}
    return windows_counted(made, answers)


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
