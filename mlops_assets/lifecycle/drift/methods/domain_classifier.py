"""All columns together: can a classifier tell live rows from those of the reference?"""

import math
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.reading import Column, Rows, read
from mlops_assets.lifecycle.drift.report import JointDrift
from mlops_assets.lifecycle.drift.scan import collect, rows_of, spread

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.drift.profile import ColumnProfile

ROWS = 5_000
# As many as scikit-learn's boosting takes.
MOST_CATEGORIES = 254


class DomainClassifier:
    """Gradient boosting that tells the sides apart, judged on rows it has not seen.

    (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.) Fitted on half of
    the rows and judged on the other half, both ways round; the value is the mean area under the
    ROC curve. On one half it is Mann and Whitney's statistic, whose variance without drift is
    known whatever the classifier; the halves depend on each other, so that their mean is given
    the variance of one.
    """

    name = "domain_classifier"

    def judge(
        self,
        columns: "list[ColumnProfile]",
        reference: Any,
        live: Any,
        *,
        probability: float,
        min_effect: float,
        seed: int,
    ) -> JointDrift:
        """The verdict on some columns together.

        Parameters
        ----------
        columns : list of ColumnProfile
            The reference's.
        reference, live : what `Profile.of` reads
            Of each, 5,000 rows from all over it are taken.
        probability : float
            Of an alarm without drift.
        min_effect : float
            A shift of one normal column by so many standard deviations is not worth an alarm.
        seed : int
            Of the split.
        """
        names = [c.name for c in columns]
        sides = [_matrix(rows, columns) for rows in (reference, live)]
        size = min(len(side) for side in sides)
        facts: dict[str, Any] = {"statistic": self.name, "rows": size, "columns": names}
        if len(names) < 2:
            reason = "fewer than two columns can be compared"
            return JointDrift(
                **facts, value=None, threshold=None, verdict="insufficient_data", reason=reason
            )
        value = _told_apart(sides, _is_categorical(columns), seed)
        threshold = auc_threshold(len(sides[0]) // 2, len(sides[1]) // 2, probability, min_effect)
        verdict = "drifted" if value > threshold else "stable"
        return JointDrift(**facts, value=value, threshold=threshold, verdict=verdict)


def auc_threshold(first: int, second: int, probability: float, min_effect: float) -> float:
    """What the area under the ROC curve of so many rows a side exceeds without drift.

    The normal limit of Mann and Whitney's statistic ("On a test of whether one of two random
    variables is stochastically larger than the other", Ann. Math. Stat. 18, 1947); at least the
    area of two normal distributions that are ``min_effect`` apart.
    """
    from scipy.stats import norm

    spread_of_area = math.sqrt((first + second + 1) / (12 * first * second))
    by_chance = 0.5 + norm.isf(probability) * spread_of_area
    return float(max(by_chance, norm.cdf(min_effect / math.sqrt(2))))


def _told_apart(sides: "list[np.ndarray]", categorical: "np.ndarray", seed: int) -> float:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    rows = np.concatenate(sides)
    is_live = np.repeat([0, 1], [len(side) for side in sides])
    areas = []
    halves = StratifiedKFold(2, shuffle=True, random_state=seed % 2**31)
    for fitted, judged in halves.split(rows, is_live):
        model = HistGradientBoostingClassifier(
            max_iter=50,
            max_leaf_nodes=15,
            categorical_features=categorical,
            class_weight="balanced",
            early_stopping=False,
            random_state=0,
        )
        model.fit(rows[fitted], is_live[fitted])
        areas.append(roc_auc_score(is_live[judged], model.predict_proba(rows[judged])[:, 1]))
    return float(np.mean(areas))


def _is_categorical(columns: "list[ColumnProfile]") -> "np.ndarray":
    import numpy as np

    return np.array([c.categories is not None for c in columns])


def _matrix(source: Any, columns: "list[ColumnProfile]") -> "np.ndarray":
    """Numbers, and places among the reference's categories; NaN where missing."""
    import numpy as np

    rows: Rows = read(source, only=[c.name for c in columns])
    values = [_values(rows.columns[c.name], c).alias(str(n)) for n, c in enumerate(columns)]
    frame = spread(rows.frame.select(values), rows_of(rows), ROWS)
    return collect(frame).to_numpy().astype(np.float64)


def _values(column: Column, before: "ColumnProfile"):
    import polars as pl

    if before.categories is None:
        return column.numbers
    names = before.categories.names[:MOST_CATEGORIES]
    places = [float(place) for place in range(len(names))]
    found = column.text.replace_strict(names, places, default=float(len(names)))
    return pl.when(column.text.is_not_null()).then(found)
