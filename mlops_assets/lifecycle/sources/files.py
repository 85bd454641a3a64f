"""Sources that are files: finding them, renaming their columns, joining them."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from mlops_assets.lifecycle.declaration import expand_env
from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.sources.base import BaseSource
from mlops_assets.lifecycle.sources.times import require_columns
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame


def _one_to_one(rename: dict[str, str]) -> dict[str, str]:
    targets = list(rename.values())
    twice = sorted({name for name in targets if targets.count(name) > 1})
    if twice:
        raise ValueError(f"two columns are renamed to {twice[0]!r}")
    return rename


Rename = Annotated[dict[str, str], AfterValidator(_one_to_one)]


@dataclass(frozen=True)
class File:
    """A file on a filesystem that fsspec knows."""

    filesystem: Any
    path: str

    def __str__(self) -> str:
        return self.path

    def open(self) -> Any:
        """The file's bytes, uncompressed by its suffix."""
        return self.filesystem.open(self.path, "rb", compression="infer")


class FileSource(BaseSource):
    """Base of the sources that are one file or several.

    Parameters
    ----------
    path : str
        A path from the base folder, or an fsspec URL. ``*``, ``**`` and ``[...]`` match several
        files, which are read in the order of their names and must have the same columns.
        ``{{ env.NAME }}`` is replaced when the source is read.
    rename : dict of str to str
        New column names by the name in the file. Everything else in a declaration, the time
        column too, uses the new names.
    """

    path: str
    rename: Rename = Field(default_factory=dict)

    def read(self, window: Window, *, time: str | None, base: Path) -> "DataFrame":
        files = matching_files(self.path, base)
        try:
            return join({str(file): self._read_window(file, window, time) for file in files})
        except OSError as error:
            raise SourceError(f"{self.path}: {error}") from error

    @abstractmethod
    def _read_window(self, file: File, window: Window, time: str | None) -> "DataFrame":
        """Read the window's rows of one file."""

    def _renamed(self, frame: "DataFrame", where: str) -> "DataFrame":
        require_columns(list(self.rename), list(frame.columns), where, "column to rename")
        renamed = frame.rename(columns=self.rename)
        require_columns(list(self.rename.values()), list(renamed.columns), where)
        return renamed


def matching_files(path: str, base: Path) -> list[File]:
    """The files of a path or glob, sorted by name; at least one.

    Raises
    ------
    SourceError
        When none exists, or the filesystem cannot be reached.
    """
    import fsspec

    url = expand_env(path)
    try:
        filesystem, root = fsspec.url_to_fs(url if "://" in url else str(base / url))
        is_glob = "*" in url or "[" in url
        found = sorted(filesystem.glob(root)) if is_glob else [root]
        files = [File(filesystem, each) for each in found if filesystem.isfile(each)]
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(f"{path}: {error}") from error
    if not files:
        raise SourceError(f"{path}: no file {'matches' if is_glob else 'is at'} {root}")
    return files


def join(frames: dict[str, "DataFrame"]) -> "DataFrame":
    """One frame of all files' rows, in order.

    Raises
    ------
    SourceError
        When two files do not have the same columns: their union would be full of holes.
    """
    import pandas as pd

    first, *others = frames
    for name in others:
        odd = set(frames[name].columns) ^ set(frames[first].columns)
        if odd:
            raise SourceError(f"{name}: columns differ from those of {first}: {sorted(odd)}")
    # An empty file's columns have no real type, and would turn the others' into objects.
    filled = [frame for frame in frames.values() if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[first]
