"""What is kept of a frame's columns, so that a monitor never reads these rows again."""

import base64
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationError

from mlops_assets.lifecycle.drift.report import ColumnSide, Kind
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.report_base import Report

if TYPE_CHECKING:
    import numpy as np

Family = Literal["number", "text", "boolean", "time", "time with a zone", "empty"]


class Numbers(Report):
    """Numbers counted between edges; of text its length, of times seconds since 1970.

    Parameters
    ----------
    edges : list of float
        Ascending. Bin ``i`` holds what is above ``edges[i - 1]`` and at most ``edges[i]``; the
        last bin what is above all.
    counts, means : list of length n_edges + 1
        How many numbers each bin holds, and their mean; a bin without any has an edge's value.
    low, high : list of (value, count)
        What the first and the last bin hold, in up to 16 groups, of live rows up to 34.
    windows : list of list of int
        ``counts`` of each reference window, for the noise between windows.
    """

    edges: list[float]
    counts: list[int]
    means: list[float]
    low: list[tuple[float, int]] = Field(default_factory=list)
    high: list[tuple[float, int]] = Field(default_factory=list)
    mean: float | None = None
    sd: float | None = None
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None
    windows: list[list[int]] = Field(default_factory=list)

    @property
    def at_median(self) -> float | None:
        """The share of the numbers that are the median; None where others are in its bin."""
        if self.median not in self.edges:
            return None
        place = self.edges.index(self.median)
        alone = self.means[place] == self.median
        return self.counts[place] / sum(self.counts) if alone else None


class Categories(Report):
    """Rows counted by category.

    Parameters
    ----------
    names, counts : list of length n_kept
        The most frequent of the reference.
    other : int
        Rows in no kept category.
    distinct : int
        How many categories there are.
    hashes : str
        Of the categories whose 64-bit hash is at most ``hashed_to`` (all, where these are few):
        little-endian, ascending, base64.
    singletons, doubletons, hashed : int
        Of these categories: those with one row, with two, and their rows.
    unseen, asked : int
        Live: rows in categories that the reference doesn't have, of so many that were looked up.
    windows : list of list of int
        ``[*counts, other]`` of each reference window.
    """

    names: list[str]
    counts: list[int]
    other: int
    distinct: int | None = None
    hashes: str = ""
    hashed_to: int = 2**64 - 1
    singletons: int = 0
    doubletons: int = 0
    hashed: int = 0
    unseen: int = 0
    asked: int = 0
    windows: list[list[int]] = Field(default_factory=list)

    @property
    def known_hashes(self) -> "np.ndarray":
        """``hashes`` as uint64."""
        return read_hashes(self.hashes)


def written_hashes(hashes: "np.ndarray") -> str:
    """Hashes of uint64 as a profile keeps them: 64 bits each, little-endian, base64."""
    return base64.b64encode(hashes.astype("<u8").tobytes()).decode()


def read_hashes(text: str) -> "np.ndarray":
    """What `written_hashes` wrote."""
    import numpy as np

    return np.frombuffer(base64.b64decode(text), dtype="<u8")


class Units(Report):
    """Whose the reference's rows are.

    Parameters
    ----------
    hashes : str
        Of units up to the hash ``hashed_to``, 64 bits each, little-endian, ascending, base64.
    counts : list of int
        The rows of each.
    rows : int
        Of all units.
    squares : float
        The sum of the squared counts of all units.
    """

    hashes: str
    counts: list[int]
    rows: int
    squares: float
    hashed_to: int = 2**64 - 1


class ColumnProfile(Report):
    """One column: what it holds, and why it can't be compared where it can't.

    Parameters
    ----------
    family : str
        The type of its values; ``kind`` is how they are compared.
    missing : int
        Nulls and NaN.
    problem : str
        Ends the sentence "the live rows hold ...".
    rows_a_unit, rows_a_unit_in_windows : float or None
        How many rows the unit of a row has, in the mean over rows; of live rows and of the
        reference's windows without what they share with the others, see `unit_counts`. None where
        units are not known.
    likeness, missing_likeness : float
        Reference: how much values are alike within a unit, from 0 to 1; and that they are missing.
    """

    name: str
    kind: Kind
    family: Family = "empty"
    rows: int = 0
    missing: int = 0
    problem: str = ""
    numbers: Numbers | None = None
    categories: Categories | None = None
    rows_a_unit: float | None = None
    rows_a_unit_in_windows: float | None = None
    likeness: float = 0.0
    missing_likeness: float = 0.0

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def side(self) -> ColumnSide:
        """The column as a report shows it."""
        facts: dict[str, Any] = {}
        if self.numbers is not None:
            names = ("mean", "sd", "minimum", "median", "maximum", "at_median")
            facts = {name: getattr(self.numbers, name) for name in names}
        if self.categories is not None and self.categories.asked:
            facts["unseen"] = self.categories.unseen / self.categories.asked
        elif self.categories is not None and self.categories.hashed:
            facts["unseen"] = self.categories.singletons / self.categories.hashed
        return ColumnSide(rows=self.rows, missing=self.missing / max(self.rows, 1), **facts)


class Profile(Report):
    """The columns of a frame.

    Parameters
    ----------
    rows : int
    columns : list of ColumnProfile
    windows : list of str
        The reference windows whose counts the columns have.
    pooled : int or None
        Of how many windows the rows are; None where that is not known, as before it was kept.
    units : Units or None
        Reference: whose its rows are, where that is declared.
    origin : str
        What the rows were, as a report says it.
    """

    rows: int
    columns: list[ColumnProfile]
    windows: list[str] = Field(default_factory=list)
    pooled: int | None = None
    units: Units | None = None
    origin: str = "the hold-out"
    format: Literal[1] = Field(1, description="Of what is stored.")

    def __getitem__(self, name: str) -> ColumnProfile:
        return next(c for c in self.columns if c.name == name)

    @property
    def names(self) -> list[str]:
        """The columns in order."""
        return [c.name for c in self.columns]

    @property
    def knows_units(self) -> bool:
        """Whether rows of one unit are told from rows of different ones."""
        return self.units is not None

    @classmethod
    def of(
        cls,
        source: Any,
        *,
        windows: dict[str, Any] | None = None,
        unit: str | None = None,
        **facts: Any,
    ) -> "Profile":
        """The profile of reference rows.

        Parameters
        ----------
        source : pandas or polars DataFrame, LazyFrame, pyarrow Table, or path of Parquet files
        windows : dict, optional
            By key, the rows of each reference window, as `source`.
        unit : str, optional
            The column that tells whose a row is, in ``source`` and in each window.
        **facts
            ``origin``, ``pooled``.

        Raises
        ------
        EvidenceError
            When a file can't be read as Parquet, or there is no column of units.
        """
        from mlops_assets.lifecycle.drift import units
        from mlops_assets.lifecycle.drift.profiling import profile_columns, windows_counted

        rows, columns = profile_columns(source, unit)
        made = cls(rows=rows, columns=columns, **facts)
        if unit is not None:
            made = units.with_units(made, source, unit)
        made = windows_counted(made, windows) if windows else made
        return units.with_windows(made, windows, unit) if windows and unit is not None else made

    @classmethod
    def read(cls, content: bytes) -> Self:
        """What `written` gave.

        Raises
        ------
        EvidenceError
            When it is something else.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise EvidenceError(f"this is no reference profile: {error}") from None

    def written(self) -> bytes:
        """As JSON; 30 kB for 20 columns."""
        return self.model_dump_json(exclude_defaults=True).encode()
