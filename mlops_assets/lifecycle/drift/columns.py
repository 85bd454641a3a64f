"""One column of a drift report: read from two frames, measured, and redrawn under "no drift"."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Family = Literal["number", "text", "boolean", "empty"]

# Evidently's floor of the standard deviation, so that both report the same distance.
LEAST_SPREAD = 0.001
# The square of a larger number is no float.
LARGEST = 1e150
MOST_CATEGORIES = 100
# The smaller a category, the less its count in the reference says about its share.
FEWEST_IN_CATEGORY = 10
OTHER = "(other)"


class BrokenColumn(Exception):
    """Why a column can't be compared, in words that a report shows."""


class Column(ABC):
    """The values of a column on both sides; null where missing.

    Parameters
    ----------
    reference : Series of shape (n_reference,)
    live : Series of shape (n_live,)
    """

    statistic: ClassVar[str]
    kind: ClassVar[Literal["numeric", "categorical"]]

    def __init__(self, reference: "pd.Series", live: "pd.Series"):
        self.reference = reference
        self.live = live

    @property
    def missing(self) -> tuple[float, float]:
        """The share of nulls in the reference and in the live rows."""
        return float(self.reference.isna().mean()), float(self.live.isna().mean())

    @property
    def pooled(self) -> "pd.Series":
        """The reference's values, then the live ones."""
        import pandas as pd

        return pd.concat([self.reference, self.live], ignore_index=True)

    @property
    def known(self) -> int:
        """How many values the side with fewer of them has."""
        return int(min(self.reference.notna().sum(), self.live.notna().sum()))

    @abstractmethod
    def distance(self) -> float:
        """The distance between both sides, over the values that are not missing."""

    @abstractmethod
    def redraw(self, draws: "Redraws") -> "np.ndarray":
        """The distance between two samples of the pooled rows, shape (n_draws,)."""


@dataclass(frozen=True)
class Redraws:
    """Bootstrap samples of the pooled rows, shared by all columns.

    Rows are drawn, not cells, so that columns which move together do so in every draw.

    Parameters
    ----------
    rows : ndarray of int, shape (n_rows,)
        Positions in ``Column.pooled``.
    reference, live : ndarray of float32, shape (n_rows, n_draws)
        How often each row is drawn for either side.
    """

    rows: "np.ndarray"
    reference: "np.ndarray"
    live: "np.ndarray"


class NumericColumn(Column):
    """First Wasserstein distance over the reference's standard deviation."""

    statistic = "wasserstein"
    kind = "numeric"

    def distance(self):
        from scipy.stats import wasserstein_distance

        reference = self.reference.dropna().to_numpy()
        live = self.live.dropna().to_numpy()
        return float(wasserstein_distance(reference, live) / max(reference.std(), LEAST_SPREAD))

    def redraw(self, draws):
        import numpy as np

        values = self.pooled.to_numpy()[draws.rows]
        order = np.argsort(values)[: np.isfinite(values).sum()]
        scale = values[order].std() or 1.0
        # In units of its own, so that single precision, which is twice as fast, loses nothing.
        values = ((values[order] - values[order].mean()) / scale).astype(np.float32)
        weights = draws.reference[order]
        weights /= weights.sum(axis=0)
        spread = np.sqrt(np.maximum(values**2 @ weights - (values @ weights) ** 2, 0))
        gap = draws.live[order]
        gap /= gap.sum(axis=0)
        gap -= weights
        np.cumsum(gap, axis=0, out=gap)
        np.abs(gap, out=gap)
        return np.diff(values) @ gap[:-1] / np.maximum(spread, LEAST_SPREAD / scale)


class CategoricalColumn(Column):
    """Jensen-Shannon distance in nats over categories, those rare in the reference as one.

    Without pooling, the thousands of categories that each side has once would be a distance of
    their own, and new categories would be found in every window.
    """

    statistic = "jensenshannon"
    kind = "categorical"

    def __init__(self, reference, live):
        counts = reference.value_counts().head(MOST_CATEGORIES)
        kept = counts.index[counts >= FEWEST_IN_CATEGORY]
        super().__init__(_pooled(reference, kept), _pooled(live, kept))

    def distance(self):
        import numpy as np

        reference = self.reference.value_counts(normalize=True)
        live = self.live.value_counts(normalize=True)
        categories = reference.index.union(live.index)
        shares = [s.reindex(categories, fill_value=0.0).to_numpy() for s in (reference, live)]
        return float(_jensen_shannon(*(np.atleast_2d(s) for s in shares))[0])

    def redraw(self, draws):
        import numpy as np
        import pandas as pd

        codes, categories = pd.factorize(self.pooled.to_numpy()[draws.rows])
        member = (codes[:, None] == np.arange(len(categories))).astype(np.float32)
        shares = [w.T @ member for w in (draws.reference, draws.live)]
        return _jensen_shannon(*(s / s.sum(axis=1, keepdims=True) for s in shares))


def read_column(reference: "pd.Series", live: "pd.Series") -> Column:
    """Both sides of a column as one kind.

    Numbers of every dtype (nullable, Arrow, Decimal) are numeric; text, booleans and pandas
    categories are categorical.

    Raises
    ------
    BrokenColumn
        For values that can't be compared: of mixed or unhashable types, dates, infinite or
        beyond what a float holds, or of another type than the reference's.
    """
    import pandas as pd

    ours, theirs = _family(reference, "reference"), _family(live, "live")
    if ours != theirs and "empty" not in (ours, theirs):
        raise BrokenColumn(f"the type changed: {ours} in the reference, {theirs} live")
    is_category = isinstance(reference.dtype, pd.CategoricalDtype)
    if "number" in (ours, theirs) and not is_category:
        return NumericColumn(_numbers(reference, "reference"), _numbers(live, "live"))
    return CategoricalColumn(_categories(reference), _categories(live))


def _family(values: "pd.Series", side: str) -> Family:
    import pandas as pd
    from pandas.api import types

    if values.isna().all():
        return "empty"
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _family(pd.Series(dtype.categories), side)
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "number"
    found = types.infer_dtype(values, skipna=True)
    families: dict[str, Family] = {
        "integer": "number",
        "floating": "number",
        "mixed-integer-float": "number",
        "decimal": "number",
        "string": "text",
        "boolean": "boolean",
    }
    if found not in families:
        raise BrokenColumn(f"{found} values ({dtype}) in the {side} rows can't be compared")
    return families[found]


def _numbers(values: "pd.Series", side: str) -> "pd.Series":
    import numpy as np
    import pandas as pd

    try:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError:
        raise BrokenColumn(f"the {side} rows hold a number that no float holds") from None
    if np.isinf(numbers).any():
        raise BrokenColumn(f"the {side} rows hold {int(np.isinf(numbers).sum())} infinite values")
    if (abs(numbers) > LARGEST).any():
        raise BrokenColumn(f"the {side} rows hold numbers beyond {LARGEST:g}")
    return pd.Series(numbers)


def _categories(values: "pd.Series") -> "pd.Series":
    return values.astype(object).map(str, na_action="ignore").reset_index(drop=True).astype(object)


def _pooled(values: "pd.Series", kept: "pd.Index") -> "pd.Series":
    return values.where(values.isin(kept) | values.isna(), OTHER)


def _jensen_shannon(p: "np.ndarray", q: "np.ndarray") -> "np.ndarray":
    """The distance of each row's distributions (Endres and Schindelin, IEEE Trans. IT 49, 2003).

    Shapes (n_draws, n_categories), result (n_draws,).
    """
    import numpy as np
    from scipy.special import rel_entr

    middle = (p + q) / 2
    divergence = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2
    return np.sqrt(np.maximum(divergence, 0))
