"""The report: whether a frame keeps its contract, and where it does not."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from mlops_assets.lifecycle.markdown import escaped

MAX_ROWS = 20


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Example(_Report):
    """A failing row: its number, counted from 0, and its values, safe for JSON."""

    row: int
    values: dict[str, JsonValue]


class Failure(_Report):
    """A check that does not hold.

    Parameters
    ----------
    check : str
    column : str or None
        None where the check is about the whole table.
    count : int
        Failing rows; a failure of a whole column or table counts all rows.
    detail : str
        What was found instead, where the rows do not show it.
    examples : tuple of Example
        The first failing rows.
    """

    check: str
    column: str | None
    count: int
    detail: str = ""
    examples: tuple[Example, ...] = ()


class ContractReport(_Report):
    """Whether a frame keeps its contract, and every place where it does not.

    Parameters
    ----------
    name : str
        What was checked.
    passed : bool
    rows : int
    nulls : dict of str to int
        NaN, NaT and None by column.
    failures : tuple of Failure
    """

    name: str
    passed: bool
    rows: int
    nulls: dict[str, int] = Field(default_factory=dict)
    failures: tuple[Failure, ...] = ()

    @model_validator(mode="after")
    def _passed_means_no_failure(self) -> "ContractReport":
        # A report that was stored and tampered with, or cut short, must not open a gate.
        if self.passed and (self.failures or self.rows == 0):
            raise ValueError("a report with failures or without rows has not passed")
        return self

    def summary(self) -> str:
        """One sentence."""
        if self.passed:
            return f"{self.name}: {self.rows} rows keep the contract"
        shown = [
            f"{each.check} ({each.column})" if each.column else each.check for each in self.failures
        ]
        fail = "1 check fails" if len(shown) == 1 else f"{len(shown)} checks fail"
        return f"{self.name}: {fail} on {self.rows} rows: {'; '.join(shown)}"

    def to_markdown(self, max_rows: int = MAX_ROWS) -> str:
        """A table of the failures, and a table of at most ``max_rows`` failing rows."""
        if self.passed:
            return self.summary()
        failures = _table(
            ["check", "column", "rows", "found"],
            [[each.check, each.column or "", each.count, each.detail] for each in self.failures],
        )
        examples = {e.row: e.values for each in self.failures for e in each.examples}
        if not examples:
            return failures
        columns = list(next(iter(examples.values())))
        rows = [[row, *(examples[row][c] for c in columns)] for row in sorted(examples)[:max_rows]]
        return f"{failures}\n\n{_table(['row', *columns], rows)}"


def _table(header: list, rows: list[list]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return escaped("null" if value is None else str(value))
