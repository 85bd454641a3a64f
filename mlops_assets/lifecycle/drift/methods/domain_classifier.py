"""All columns together: can a classifier tell live rows from those of the reference?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.reading import Column, read
from mlops_assets.lifecycle.drift.report import JointDrift
from mlops_assets.lifecycle.drift.scan import collect, rows_of, spread
from mlops_assets.lifecycle.drift.unit_codes import UNIT_CODE, unit_codes
from mlops_assets.lifecycle.drift.unit_counts import unit_of
from mlops_assets.lifecycle.gate.delong import Delong
from mlops_assets.lifecycle.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.drift.profile import ColumnProfile

ROWS = 5_000
UNITS_UNKNOWN = (
    "rows of a unit are alike, and whose they are is not stored with a version from before that "
    "mattered here: train it again"
)
# As many as scikit-learn's boosting takes.
MOST_CATEGORIES = 254


class DomainClassifier:
    """Gradient boosting that tells the sides apart, judged on rows it has not seen.

    (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.) Fitted on half of
    the rows and judged on the other half, both ways round; the value is the mean area under the
    ROC curve. On one half it is Mann and Whitney's statistic, whose variance without drift is
    known whatever the classifier; the halves depend on each other, so that their mean is given
    the variance of one.

    Rows of one unit are in one half, as a classifier that has seen a customer knows the others of
    its rows, and the variance is that of areas of clusters (Obuchowski, see `gate.delong`), where
    it is the larger one.
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
        units: tuple[str | None, str | None] | None = None,
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
        units : tuple of str, optional
            Each side's column that tells whose a row is, by name or as `unit_codes` numbers them;
            without it rows are independent, and where one side has none nothing can be told.
        """
        names = [c.name for c in columns]
        if len(names) < 2:
            return self._undecided(names, 0, "fewer than two columns can be compared")
        if units is not None and None in units:
            return self._undecided(names, 0, UNITS_UNKNOWN)
        of_units = units or (None, None)
        sides = [
            _Side.of(rows, columns, unit)
            for rows, unit in zip((reference, live), of_units, strict=True)
        ]
        size = min(len(side.values) for side in sides)
        areas = [*_areas(sides, _is_categorical(columns), seed, probability)]
        value = sum(area.value for area in areas) / len(areas)
        noise = sum(area.noise for area in areas) / len(areas)
        if not math.isfinite(noise):
            return self._undecided(names, size, "too few units on a side to tell noise from drift")
        before, now = (min(area.rows[side] for area in areas) for side in (0, 1))
        independent = auc_threshold(before, now, probability, min_effect)
        threshold = max(independent, 0.5 + noise)
        return JointDrift(
            statistic=self.name,
            rows=size,
            columns=names,
            value=value,
            threshold=threshold,
            verdict="drifted" if value > threshold else "stable",
        )

    def _undecided(self, names: list[str], size: int, reason: str) -> JointDrift:
        return JointDrift(
            statistic=self.name,
            rows=size,
            columns=names,
            value=None,
            threshold=None,
            verdict="insufficient_data",
            reason=reason,
        )


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


@dataclass(frozen=True)
class _Side:
    """Numbers of shape (n_rows, n_columns), and the unit of each row, shape (n_rows,)."""

    values: "np.ndarray"
    units: "np.ndarray | None"

    @classmethod
    def of(cls, source: Any, columns: "list[ColumnProfile]", unit: str | None) -> "_Side":
        """Places among the reference's categories in the place of text; NaN where missing."""
        import numpy as np
        import polars as pl

        names = [c.name for c in columns]
        rows = read(source, only=names if unit is None else [*names, unit])
        values = [_values(rows.columns[c.name], c).alias(str(n)) for n, c in enumerate(columns)]
        whose = [] if unit is None else [unit_of(rows, unit)]
        frame = collect(spread(rows.frame.select(*values, *whose), rows_of(rows), ROWS))
        matrix = frame.select(frame.columns[: len(values)]).to_numpy().astype(np.float64)
        if unit is None:
            return cls(matrix, None)
        named = frame[frame.columns[-1]]
        numbered = named.cast(pl.Int64).to_numpy() if unit == UNIT_CODE else unit_codes(named)
        return cls(matrix, numbered)


@dataclass(frozen=True)
class _Area:
    """The area under the ROC curve on one half.

    ``noise`` is what it exceeds 0.5 by no more often than declared, where rows of a unit are
    alike; ``rows`` of the reference and of the live side.
    """

    value: float
    noise: float
    rows: tuple[int, int]


def _areas(
    sides: list[_Side], categorical: "np.ndarray", seed: int, probability: float
) -> Iterator[_Area]:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = np.concatenate([side.values for side in sides])
    is_live = np.repeat([0, 1], [len(side.values) for side in sides])
    units = _units(sides)
    for fitted, judged in _halves(is_live, units, seed):
        if len(np.unique(is_live[fitted])) < 2:
            yield _Area(math.nan, math.inf, (0, 0))
            continue
        model = HistGradientBoostingClassifier(
            max_iter=50,
            max_leaf_nodes=15,
            categorical_features=categorical,
            class_weight="balanced",
            early_stopping=False,
            random_state=0,
        )
        model.fit(rows[fitted], is_live[fitted])
        scores = model.predict_proba(rows[judged])[:, 1]
        yield _area(is_live[judged], scores, None if units is None else units[judged], probability)


def _area(
    is_live: "np.ndarray", scores: "np.ndarray", units: "np.ndarray | None", probability: float
) -> _Area:
    from sklearn.metrics import roc_auc_score

    size = (int((is_live == 0).sum()), int(is_live.sum()))
    if units is None:
        return _Area(float(roc_auc_score(is_live, scores)), 0.0, size)
    found = Delong().level(METRICS["roc_auc"], is_live, scores, units, probability)
    return _Area(found.estimate, found.estimate - found.low, size)


def _units(sides: list[_Side]) -> "np.ndarray | None":
    """Of all rows, those of the live side with numbers of their own: halves alone go together."""
    import numpy as np

    before, now = (side.units for side in sides)
    if before is None or now is None:
        return None
    return np.concatenate([before, now + 2 * (1 + before.max(initial=0) // 2)])


def _halves(
    is_live: "np.ndarray", units: "np.ndarray | None", seed: int
) -> "Iterator[tuple[np.ndarray, np.ndarray]]":
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    if units is None:
        halves = StratifiedKFold(2, shuffle=True, random_state=seed % 2**31)
        yield from halves.split(is_live, is_live)
        return
    for half in (0, 1):
        yield np.flatnonzero(units % 2 != half), np.flatnonzero(units % 2 == half)


def _is_categorical(columns: "list[ColumnProfile]") -> "np.ndarray":
    import numpy as np

    return np.array([c.categories is not None for c in columns])


def _values(column: Column, before: "ColumnProfile"):
    import polars as pl

    if before.categories is None:
        return column.numbers
    names = before.categories.names[:MOST_CATEGORIES]
    places = [float(place) for place in range(len(names))]
    found = column.text.replace_strict(names, places, default=float(len(names)))
    return pl.when(column.text.is_not_null()).then(found)
