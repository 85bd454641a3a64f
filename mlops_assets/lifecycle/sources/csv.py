"""CSV files."""

import codecs
import csv
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.sources.files import File, FileSource
from mlops_assets.lifecycle.sources.times import cut, require_columns
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"unknown encoding {name!r}") from None
    return name


class CsvSource(FileSource):
    """One CSV file, or all that match a glob.

    Parameters
    ----------
    path, rename
        See FileSource.
    separator : str
        One character.
    encoding : str
        A file that is not in this encoding is refused, with the place of the first bad byte.
    dtypes : dict of str to str
        pandas types by the column's name in the file; the other columns' are inferred, those of
        numbers from the contract where their values allow it.
    """

    typed: ClassVar[bool] = False
    type: Literal["csv"] = "csv"
    separator: str = Field(",", min_length=1, max_length=1)
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    dtypes: dict[str, str] = Field(default_factory=dict)

    def _read_window(self, file: File, window: Window, time: str | None) -> "DataFrame":
        try:
            columns = self._header(file)
            require_columns(list(self.dtypes), columns, str(file), "column with a dtype")
            return cut(self._renamed(self._parse(file, time), str(file)), window, time, str(file))
        except UnicodeDecodeError:
            raise self._undecodable(file) from None
        except csv.Error as error:
            raise SourceError(f"{file}: {error}") from error

    def _header(self, file: File) -> list[str]:
        _, columns = next(self._records(file), (0, []))
        if not columns:
            raise SourceError(f"{file}: the file is empty")
        for name in columns:
            # pandas would rename the second one without a word.
            if columns.count(name) > 1:
                raise SourceError(f"{file}: {columns.count(name)} columns are named {name!r}")
        return columns

    def _parse(self, file: File, time: str | None) -> "DataFrame":
        import pandas as pd

        dtypes = dict(self.dtypes)
        if time is not None:
            dtypes[{new: old for old, new in self.rename.items()}.get(time, time)] = "str"
        try:
            frame = self._read_csv(file, dtypes)
        except pd.errors.ParserError as error:
            self._refuse_ragged(file)
            raise SourceError(f"{file}: {error}") from error
        except UnicodeDecodeError:
            raise
        except (ValueError, TypeError) as error:
            self._refuse_ragged(file)
            raise SourceError(f"{file}: {self._broken_dtype(file) or error}") from error
        # pandas fills a short row with nulls, and takes the first column of long ones as index.
        if not isinstance(frame.index, pd.RangeIndex) or frame.iloc[:, -1].isna().any():
            self._refuse_ragged(file)
        return frame

    def _read_csv(self, file: File, dtypes: dict[str, str], columns: list | None = None):
        import pandas as pd

        with file.open() as handle, warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            return pd.read_csv(
                handle,
                sep=self.separator,
                encoding=self.encoding,
                dtype=dtypes,
                usecols=columns,
                low_memory=False,
                # pandas' own way is off by a bit in one number of six, and JSON's is not.
                float_precision="round_trip",
            )

    def _broken_dtype(self, file: File) -> str | None:
        """Which column cannot be read as declared: pandas says only which value."""
        for column, dtype in self.dtypes.items():
            try:
                self._read_csv(file, {column: dtype}, [column])
            except (ValueError, TypeError) as error:
                return f"column {column!r} cannot be read as {dtype}: {error}"
        return None

    def _records(self, file: File) -> Iterator[tuple[int, list[str]]]:
        """The records that are not blank, each with the number of its last line."""
        # A byte order mark, as spreadsheets write it, is not part of the first column's name.
        is_utf8 = codecs.lookup(self.encoding).name == "utf-8"
        encoding = "utf-8-sig" if is_utf8 else self.encoding
        with file.open() as handle, io.TextIOWrapper(handle, encoding, newline="") as text:
            reader = csv.reader(text, delimiter=self.separator)
            yield from ((reader.line_num, record) for record in reader if record)

    def _refuse_ragged(self, file: File) -> None:
        records = self._records(file)
        _, header = next(records)
        for line, record in records:
            if len(record) != len(header):
                raise SourceError(
                    f"{file}, line {line}: {len(record)} fields, where the header has {len(header)}"
                )

    def _undecodable(self, file: File) -> SourceError:
        with file.open() as handle:
            content = handle.read()
        try:
            content.decode(self.encoding)
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            return SourceError(
                f"{file}: not {self.encoding}: byte 0x{content[error.start]:02x} at offset "
                f"{error.start} (line {line}); save it as {self.encoding}, or declare its encoding"
            )
        return SourceError(f"{file}: changed while it was read")
