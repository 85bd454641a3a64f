"""What a client sends: JSON records, checked field by field, as the frame an estimator expects."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.artifact import Serving
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.fields import (
    Check,
    WrongValue,
    feature_check,
    identifier,
    kind_of,
    moment,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 8 * 1024 * 1024
MAX_ROWS = 10_000


@dataclass(frozen=True)
class Row:
    """One record: what the estimator sees of it, and what the prediction log keeps beside."""

    features: dict[str, Any]
    unit: str | None
    at: datetime | None
    key: dict[str, Any]


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
        self._features = [feature.name for feature in serving.features]
        checks: dict[str, Check] = dict.fromkeys(serving.key, identifier)
        if serving.unit is not None:
            checks[serving.unit] = identifier
        if serving.time is not None:
            checks[serving.time] = moment
        # Last, because the unit of a ranking is its feature as well, and has the feature's dtype.
        checks |= {f.name: feature_check(f.name, f.dtype) for f in serving.features}
        self._checks = checks

    def rows(self, records: list[dict[str, Any]]) -> list[Row]:
        """The checked records.

        Raises
        ------
        RequestError
            Naming row and field of the first value that is wrong.
        """
        return [self._row(number, record) for number, record in enumerate(records)]

    def frame(self, rows: Iterable[Row]) -> "pd.DataFrame":
        """The rows as the estimator's columns, in its order and dtypes."""
        import pandas as pd

        seen = [row.features for row in rows]
        return pd.DataFrame(
            {
                feature.name: pd.Series([f[feature.name] for f in seen], dtype=feature.dtype)
                for feature in self.serving.features
            }
        )

    def _row(self, number: int, record: dict[str, Any]) -> Row:
        for name in self._features:
            if name not in record:
                raise _wrong(number, name, "missing")
        for name in record:
            if name not in self._checks:
                raise _wrong(number, name, f"unknown; known are {', '.join(self._checks)}")
        checked = {name: self._checked(number, name, value) for name, value in record.items()}
        serving = self.serving
        return Row(
            features={name: checked[name] for name in self._features},
            unit=str(checked[serving.unit]) if serving.unit in checked else None,
            at=checked.get(serving.time) if serving.time else None,
            key={name: record[name] for name in serving.key if name in record},
        )

    def _checked(self, number: int, name: str, value: Any) -> Any:
        try:
            return self._checks[name](value)
        except WrongValue as error:
            raise _wrong(number, name, str(error)) from None


def parse_records(body: bytes) -> list[dict[str, Any]]:
    """The records of a request: a JSON list of objects, or one object.

    Raises
    ------
    RequestError
        When the body is anything else, or too long a list.
    """
    try:
        document = json.loads(body)
    except RecursionError:
        raise RequestError(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    records = document if isinstance(document, list) else [document]
    if not records:
        raise RequestError(422, "the list of records is empty")
    if len(records) > MAX_ROWS:
        raise RequestError(413, f"{len(records)} records where {MAX_ROWS} are the most")
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise RequestError(422, f"row {number}: expected an object, got {kind_of(record)}")
    return records


def _wrong(number: int, name: str, reason: str) -> RequestError:
    # A field's name comes from the client and may be megabytes long.
    shown = name if len(name) <= 100 else f"{name[:100]}..."
    return RequestError(422, f"row {number}, field {shown!r}: {reason}")
