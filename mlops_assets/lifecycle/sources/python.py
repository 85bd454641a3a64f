"""A function of the user's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.import_paths import ImportPath, load_object
from mlops_assets.lifecycle.sources.base import BaseSource
from mlops_assets.lifecycle.sources.times import cut
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame


class PythonSource(BaseSource):
    """A function that returns a window's rows: ``function(window, **params) -> DataFrame``.

    Rows outside the window are left out, so a function may return more than it was asked.

    Parameters
    ----------
    function : str
        Its dotted path.
    params : dict
        Its keyword arguments.
    """

    type: Literal["python"] = "python"
    function: ImportPath
    params: dict[str, Any] = Field(default_factory=dict)

    def read(self, window: Window, *, time: str | None, base: Path) -> "DataFrame":
        import pandas as pd

        function = load_object(self.function)
        try:
            frame = function(window, **self.params)
        except Exception as error:  # the user's code may raise anything; the cause stays chained
            cause = f"{type(error).__name__}: {error}"
            raise SourceError(f"{self.function} failed on window {window}: {cause}") from error
        if not isinstance(frame, pd.DataFrame):
            raise SourceError(
                f"{self.function} returned {type(frame).__name__} on window {window}, "
                "not a pandas DataFrame"
            )
        return cut(frame, window, time, self.function)
