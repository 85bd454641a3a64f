"""The rows of one request: they went one way together, and came or failed together.

Which version answers is drawn once a request, by the unit of its first row. So its rows are one
piece of evidence, however many they are: counted one by one, a single request of a hundred rows
that fails would be a hundred failures of the version that it fell to.
"""

import zlib
from collections.abc import Iterable

from msgspec.structs import replace

from mlops_assets.lifecycle.prediction_log import Record
from mlops_assets.lifecycle.prediction_log.batch import request_id, row_ids


def under_drawn_unit(records: Iterable[Record]) -> list[Record]:
    """The records, each under the unit that its request was drawn by: that of its first row."""
    records = list(records)
    several = [r for r in records if request_id(r.prediction_id) != r.prediction_id]
    drawn = {r.prediction_id: r.unit for r in several}
    if not drawn:
        return records
    return [_under(r, drawn.get(_first_row(r), r.unit)) for r in records]


def one_a_request(records: Iterable[Record]) -> list[Record]:
    """One record of each request, by chance that its id decides; in the order of the requests."""
    requests: dict[str, list[Record]] = {}
    for record in records:
        requests.setdefault(request_id(record.prediction_id), []).append(record)
    return [rows[zlib.crc32(name.encode()) % len(rows)] for name, rows in requests.items()]


def _first_row(record: Record) -> str:
    return row_ids(request_id(record.prediction_id), 2)[0]


def _under(record: Record, unit: str | None) -> Record:
    return record if record.unit == unit else replace(record, unit=unit)
