"""What a client sends: JSON records, checked field by field, as the frame an estimator expects."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from mlops_assets.lifecycle.artifact import Serving
from mlops_assets.serving.documents import parse_document
from mlops_assets.serving.errors import RequestError, shown
from mlops_assets.serving.fields import (
    Check,
    WrongValue,
    feature_check,
    identifier,
    kind_of,
    moment,
)
from mlops_assets.serving.rows import Row, Rows, Values, by_row
from mlops_assets.serving.typed import extras, record_type, texts

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 8 * 1024 * 1024
MAX_ROWS = 10_000


class RecordReader:
    """Checks records against what a version was trained on.

    Parameters
    ----------
    serving : Serving

    Raises
    ------
    ArtifactError
        When a feature has a dtype that JSON has no value for.
    """

    def __init__(self, serving: Serving):
        self.serving = serving
        self.names = [feature.name for feature in serving.features]
        # Whether a row is nothing but float64.
        self.numbers = all(feature.dtype == "float64" for feature in serving.features)
        self.extras = extras(serving)
        named = {serving.unit, *serving.key} - {None}
        self._plain = not self.extras and not named
        checks: dict[str, Check] = dict.fromkeys(serving.key, identifier)
        if serving.unit is not None:
            checks[serving.unit] = identifier
        if serving.time is not None:
            checks[serving.time] = moment
        # Last, because the unit of a ranking is its feature as well, and has the feature's dtype.
        checks |= {f.name: feature_check(f.name, f.dtype) for f in serving.features}
        self.checks = checks
        self.record = record = record_type(serving)
        self._decoder = None if record is None else _decoder(record)
        self._quotes = 2 * (len(self.names) + texts(serving))

    def read(self, body: bytes) -> Rows:
        """The checked records of a request: a JSON list of objects, or one object.

        Raises
        ------
        RequestError
            Saying what is wrong and where.
        """
        if self._decoder is None:
            return self.rows(as_records(parse_document(body)))
        try:
            decoded = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.rows(as_records(parse_document(body)))
        records = decoded if isinstance(decoded, list) else [decoded]
        refuse_count(len(records))
        values = list(chain.from_iterable(map(msgspec.structs.astuple, records)))
        # Every key and every string has two quotes: more of them mean a key that stands twice
        # (msgspec keeps the last), or an escaped quote.
        if body.count(b'"') != self._quotes * len(records) + self._extra_quotes(values):
            return self.rows(as_records(parse_document(body)))
        return self.checked_rows(values)

    def rows(self, records: list[dict[str, Any]]) -> Rows:
        """The checked records.

        Raises
        ------
        RequestError
            Naming row and field of the first value that is wrong.
        """
        refuse_count(len(records))
        return Rows.of(self.names, [self._row(n, record) for n, record in enumerate(records)])

    def checked_rows(self, values: list[Any]) -> Rows:
        """Rows whose values are checked but for their times.

        Parameters
        ----------
        values : list
            Row after row: of each its features, then ``extras``.

        Raises
        ------
        RequestError
            Naming the row whose time is no time.
        """
        if self._plain:
            return Rows(self.names, len(values) // len(self.names), values)
        rows = by_row(values, len(self.names) + len(self.extras))
        return Rows.of(self.names, [self._checked_row(n, row) for n, row in enumerate(rows)])

    def _checked_row(self, number: int, values: Values) -> Row:
        serving, names = self.serving, self.names
        features = dict(zip(names, values, strict=False))
        seen = values[: len(names)]
        if not self.extras:
            unit = str(features[serving.unit]) if serving.unit in features else None
            return Row(seen, unit, None, {n: features[n] for n in serving.key})
        given = zip(self.extras, values[len(names) :], strict=True)
        known = features | {name: value for name, value in given if value is not UNSET}
        at = None
        if serving.time is not None and serving.time in known:
            at = self.checked(number, serving.time, known[serving.time])
            at = at if isinstance(at, datetime) else None
        return Row(
            values=seen,
            unit=str(known[serving.unit]) if serving.unit in known else None,
            at=at,
            key={name: known[name] for name in serving.key if name in known},
        )

    def frame(self, rows: Sequence[Values]) -> "pd.DataFrame":
        """The rows as the estimator's columns, in its order and dtypes."""
        import pandas as pd

        return pd.DataFrame(
            {
                feature.name: pd.Series([values[place] for values in rows], dtype=feature.dtype)
                for place, feature in enumerate(self.serving.features)
            }
        )

    def checked(self, number: int, name: str, value: Any) -> Any:
        """A field's value as the estimator's column holds it.

        Raises
        ------
        RequestError
            Naming row and field.
        """
        try:
            return self.checks[name](value)
        except WrongValue as error:
            raise wrong(number, name, str(error)) from None

    def _row(self, number: int, record: dict[str, Any]) -> Row:
        for name in self.names:
            if name not in record:
                raise wrong(number, name, "missing")
        for name in record:
            if name not in self.checks:
                raise wrong(number, name, f"unknown; known are {', '.join(self.checks)}")
        checked = {name: self.checked(number, name, value) for name, value in record.items()}
        serving = self.serving
        at = checked.get(serving.time) if serving.time else None
        return Row(
            values=tuple(checked[name] for name in self.names),
            unit=str(checked[serving.unit]) if serving.unit in checked else None,
            at=at if isinstance(at, datetime) else None,
            key={name: record[name] for name in serving.key if name in record},
        )

    def _extra_quotes(self, values: list[Any]) -> int:
        if not self.extras:
            return 0
        start = len(self.names)
        rows = by_row(values, start + len(self.extras))
        given = [v for row in rows for v in row[start:] if v is not UNSET]
        return 2 * len(given) + 2 * sum(isinstance(value, str) for value in given)


def _decoder(record: type[msgspec.Struct]) -> msgspec.json.Decoder:
    return msgspec.json.Decoder(list[record] | record)  # type: ignore[valid-type]


def as_records(document: Any) -> list[dict[str, Any]]:
    """The records of a parsed document.

    Raises
    ------
    RequestError
        When it is no list of objects, or too long a list.
    """
    records = document if isinstance(document, list) else [document]
    refuse_count(len(records))
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise RequestError(422, f"row {number}: expected an object, got {kind_of(record)}")
    return records


def refuse_count(rows: int) -> None:
    """Refuse a request without rows, or with too many.

    Raises
    ------
    RequestError
        422 or 413.
    """
    if rows == 0:
        raise RequestError(422, "the list of records is empty")
    if rows > MAX_ROWS:
        raise RequestError(413, f"{rows} records where {MAX_ROWS} are the most")


def wrong(number: int, name: str, reason: str) -> RequestError:
    """A refusal that names row and field."""
    return RequestError(422, f"row {number}, field {shown(name)}: {reason}")
