"""What every source of raw data offers."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mlops_assets.lifecycle.declaration import Declaration
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame


class BaseSource(Declaration, ABC):
    """Where a model's raw data comes from.

    A new kind of source is a subclass with a ``type`` of its own, added to ``Source``.

    Attributes
    ----------
    typed : bool
        Whether its columns have types of their own, or such as are guessed from their values.
    """

    typed: ClassVar[bool] = True

    @abstractmethod
    def read(self, window: Window, *, time: str | None, base: Path) -> "DataFrame":
        """Read the rows of one window, ``start`` included and ``end`` not.

        Parameters
        ----------
        window : Window
            Without bounds (``cadence: none``) everything is read.
        time : str or None
            The time column; it is returned as ``datetime64[us, UTC]``. Timestamps without an
            offset are UTC. May be None only where the window has no bounds.
        base : Path
            The folder that relative paths start from.

        Returns
        -------
        DataFrame
            Rows numbered from 0; empty when the window holds none.

        Raises
        ------
        SourceError
            Naming the file, table or function, and the cause.
        """
