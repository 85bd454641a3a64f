"""What the gate's rules judge on: one hold-out, and what the models answered to it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate.base import Paired, numbered

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.evaluation import Candidate
    from mlops_assets.lifecycle.reports import Comparison, MetricEstimate
    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.tasks import Cases

MOST_VALUES = 200


@dataclass(frozen=True)
class Live:
    """The last live rows: what was asked, and in which window."""

    window: str
    rows: "pd.DataFrame"


@dataclass(frozen=True)
class Scored:
    """Rows with what was true of them: what a KPI may look at.

    Parameters
    ----------
    spec : ModelSpec
    rows : DataFrame of shape (n_rows, n_columns)
    cases : Cases
    """

    spec: "ModelSpec"
    rows: "pd.DataFrame"
    cases: "Cases"

    what: ClassVar[str] = "labelled answers"

    @cached_property
    def _numbered(self) -> "tuple[np.ndarray, int]":
        return numbered(self.cases.units)

    @property
    def cluster(self) -> "np.ndarray":
        """The unit of each case, 0 to ``count`` - 1."""
        return self._numbered[0]

    @property
    def count(self) -> int:
        """Units."""
        return self._numbered[1]

    def numbers(self, column: str) -> "np.ndarray":
        """A column of the rows as finite numbers, shape (n_rows,).

        Raises
        ------
        EvidenceError
            When it is not there, or naming the first row that holds no number.
        """
        import numpy as np
        import pandas as pd

        values = pd.to_numeric(self._column(column), errors="coerce").to_numpy(
            float, na_value=np.nan
        )
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            found = self.rows[column].iloc[int(bad[0])]
            raise EvidenceError(
                f"{self.spec.name}: {column} is {found} in row {bad[0]} of the {self.what} "
                f"({len(bad)} such rows) where a number is needed"
            )
        return values

    def _column(self, column: str) -> "pd.Series":
        if column not in self.rows.columns:
            raise EvidenceError(
                f"{self.spec.name}: the gate asks for the column {column!r}; the columns of "
                f"the {self.what} are {', '.join(map(str, self.rows.columns))}"
            )
        return self.rows[column]


@dataclass(frozen=True)
class Evidence(Scored):
    """Everything that a rule may look at.

    Parameters
    ----------
    rows, training : DataFrame
        The hold-out, and what the challenger was trained on.
    scores, champion_scores : ndarray of shape (n_cases,) or (n_cases, n_outputs)
        The champion's are None for a first model.
    alpha : float
        Of one-sided bounds, at this look.
    look : int
        How often this hold-out was asked, this time included.
    live : Live or None
        None where nothing was asked of the model yet.
    """

    training: "pd.DataFrame"
    challenger: "Candidate"
    champion: "Candidate | None"
    scores: "np.ndarray"
    champion_scores: "np.ndarray | None"
    estimates: "list[MetricEstimate]"
    comparison: "Comparison | None"
    baseline: "Comparison | None"
    alpha: float
    look: int = 1
    live: Live | None = None

    what: ClassVar[str] = "hold-out"

    def groups(self, column: str) -> "np.ndarray":
        """The value of a column for each case, as text, shape (n_cases,).

        A ranking's case is a unit: its first row tells.

        Raises
        ------
        EvidenceError
            When it is not there, or has too many values to be groups.
        """
        import numpy as np

        values = self._column(column)
        if not self.spec.task_type.tabular:
            unit = self.spec.columns.unit
            values = values.groupby(self.rows[unit], observed=True).first()[self.cases.units]
        text = values.astype(object).where(values.notna(), "missing").astype(str).to_numpy()
        if len(np.unique(text)) > MOST_VALUES:
            raise EvidenceError(
                f"{self.spec.name}: {column} has {len(np.unique(text))} values; a group is one of "
                f"{MOST_VALUES} at most: cut it into bands"
            )
        return text

    def paired(self, chosen: "np.ndarray") -> Paired:
        """Challenger and champion on the chosen cases."""
        assert self.champion_scores is not None
        cases = self.cases
        return Paired(
            cases.truth[chosen],
            self.scores[chosen],
            self.champion_scores[chosen],
            cases.units[chosen],
            cases.weights[chosen],
        )
