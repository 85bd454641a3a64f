"""A window of the prediction log as one Parquet file, for whoever reads it without Python."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.lifecycle.prediction_log.log import PredictionLog
from mlops_assets.lifecycle.prediction_log.record import Record

ROWS = 20_000  # of a row group, and in memory
MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    {
        "prediction_id": pa.string(),
        "model": pa.string(),
        "version": pa.int64(),
        "run_id": pa.string(),
        "unit": pa.string(),
        "at": MOMENT,
        "logged_at": MOMENT,
        "variant": pa.string(),
        "status": pa.int64(),
        "latency_ms": pa.float64(),
        "features": pa.string(),
        "key": pa.string(),
        "answer": pa.string(),
    }
)
DOCUMENTS = ("features", "key", "answer")


def export(
    log: PredictionLog,
    model: str,
    url: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> int:
    """Write the records of a window, each once, wherever they are; in no order.

    Parameters
    ----------
    log : PredictionLog
    model : str
    url : str
        Any fsspec URL or path. A file that is there is replaced once the new one is whole.
    start, end : datetime or None
        Aware; as for `PredictionLog.read`.

    Returns
    -------
    int
        The number of rows. ``features``, ``key`` and ``answer`` are JSON.

    Raises
    ------
    EvidenceError
        As `PredictionLog.read` does; nothing is written then.
    """
    filesystem, path = fsspec.url_to_fs(url)
    filesystem.makedirs(filesystem._parent(path), exist_ok=True)
    part = f"{path}.{os.urandom(4).hex()}.part"
    rows = 0
    try:
        with (
            closing(log.stream(model, start, end)) as records,
            pq.ParquetWriter(part, SCHEMA, filesystem=filesystem, compression="zstd") as writer,
        ):
            while batch := list(islice(records, ROWS)):
                writer.write_table(_table(batch))
                rows += len(batch)
        filesystem.mv(part, path)
    finally:
        if filesystem.exists(part):
            filesystem.rm(part)
    return rows


def _table(records: list[Record]) -> pa.Table:
    return pa.table({name: list(_column(records, name)) for name in SCHEMA.names}, schema=SCHEMA)


def _column(records: list[Record], name: str) -> Iterator:
    for record in records:
        value = getattr(record, name)
        if name in DOCUMENTS:
            yield json.dumps(value, separators=(",", ":"))
        else:
            # Half a surrogate pair is text to JSON, and to nobody else.
            yield value.encode("utf-8", "replace") if isinstance(value, str) else value
