"""Tasks on tables: one row asked, one answer."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.tasks.base import Answered, Cases, Task
from mlops_assets.lifecycle.weights import fit_weighted, weights_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class TabularTask(Task):
    """Every column without a role is a feature; a row is its own unit unless one is declared."""

    def features(self, frame, columns):
        return [c for c in frame.columns if c not in columns.roles]

    def fit(self, estimator, frame, columns):
        asked = frame[self.features(frame, columns)]
        target = frame[columns.target].to_numpy()
        if columns.weight is None:
            return estimator.fit(asked, target)
        weights = weights_of(frame, columns)
        return fit_weighted(estimator, asked, self.scored_truth(target, weights), weights)

    def cases(self, hold_out, training, columns):
        import numpy as np

        units = hold_out[columns.unit] if columns.unit else np.arange(len(hold_out))
        weights = weights_of(hold_out, columns)
        return Cases(
            asked=hold_out[self.features(hold_out, columns)],
            truth=self.scored_truth(hold_out[columns.target].to_numpy(), weights),
            units=np.asarray(units),
            weights=weights,
        )


def column(answers, name) -> "np.ndarray":
    """One field of all answers."""
    import numpy as np

    return np.array([answer[name] for answer in answers])


def classes_frame(rows: Answered, scores: "np.ndarray") -> "pd.DataFrame":
    """For Evidently: classes by their names, and the score of each, (n_rows, n_classes), by its."""
    import pandas as pd

    frame = pd.DataFrame(scores, columns=[str(label) for label in range(scores.shape[1])])
    frame["target"] = [str(int(label)) for label in rows.truth]
    frame["prediction"] = [str(answer["prediction"]) for answer in rows.answers]
    return frame


def not_of_classes(truth, allowed) -> str | None:
    """Which labels are none of the allowed classes."""
    import numpy as np

    present = np.unique(truth).tolist()
    if set(present) <= set(allowed):
        return None
    return f"labels {present} where only {allowed} are allowed"


def only_one(truth) -> str | None:
    """Which label is the only one."""
    import numpy as np

    present = np.unique(truth).tolist()
    return f"only the label {present} is present" if len(present) < 2 else None
