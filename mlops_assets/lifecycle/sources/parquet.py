"""Parquet files."""

from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.sources.files import File, FileSource
from mlops_assets.lifecycle.sources.times import cut
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame


class ParquetSource(FileSource):
    """One Parquet file, or all that match a glob.

    Only the row groups that can hold rows of the window are read, where the time column is a
    timestamp or a date; of text the whole file is read.

    Parameters
    ----------
    path, rename
        See FileSource.
    """

    type: Literal["parquet"] = "parquet"

    def _read_window(self, file: File, window: Window, time: str | None) -> "DataFrame":
        import pyarrow as pa
        import pyarrow.parquet as pq

        original = time and {new: old for old, new in self.rename.items()}.get(time, time)
        try:
            schema = pq.read_schema(file.path, filesystem=file.filesystem)
            filters = _window_filter(schema, original, window)
            table = pq.read_table(file.path, filesystem=file.filesystem, filters=filters)
        except pa.ArrowException as error:
            raise SourceError(f"{file}: not a readable Parquet file: {error}") from error
        frame = table.to_pandas()
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        return cut(self._renamed(frame, str(file)), window, time, str(file))


def _window_filter(schema: Any, time: str | None, window: Window) -> Any:
    """What Parquet can skip by its statistics; rows without a time are kept, to be refused."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if time is None or window.start is None or time not in schema.names:
        return None
    dtype = schema.field(time).type
    if pa.types.is_timestamp(dtype):
        start, end = (_moment(bound, dtype) for bound in window.bounds)
        inside = (pc.field(time) >= start) & (pc.field(time) < end)
    elif pa.types.is_date(dtype):
        start, end = (pa.scalar(bound.date(), dtype) for bound in window.bounds)
        inside = (pc.field(time) >= start) & (pc.field(time) <= end)
    else:
        return None
    return inside | pc.field(time).is_null()


def _moment(bound: Any, dtype: Any) -> Any:
    import pyarrow as pa

    return pa.scalar(bound if dtype.tz else bound.replace(tzinfo=None), dtype)
