"""MLflow's scoring payloads, for clients that come from ``mlflow models serve``."""

from typing import Any

from mlops_assets.serving.documents import parse_document
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.fields import kind_of
from mlops_assets.serving.payload import RecordReader, as_records, refuse_count
from mlops_assets.serving.rows import Rows

SPLIT = frozenset({"columns", "index", "data"})
FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")


def check_content_type(content_type: str) -> None:
    """Refuse what is not JSON; MLflow takes CSV as well, whose columns have no types.

    Raises
    ------
    RequestError
        415, saying what to send.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(
            415, f"send application/json ({', '.join(FORMS)}), not {kind[:100] or 'nothing'}"
        )


def read_invocation(reader: RecordReader, body: bytes) -> Rows:
    """The checked rows of a payload.

    Raises
    ------
    RequestError
        Saying what is wrong and where.
    """
    document = parse_document(body)
    if not isinstance(document, dict):
        raise RequestError(422, f"expected an object with one of {', '.join(FORMS)}")
    given = [form for form in FORMS if form in document]
    if len(given) != 1:
        raise RequestError(422, f"expected exactly one of {', '.join(FORMS)}, got {len(given)}")
    unknown = sorted(document.keys() - {*FORMS, "params"})
    if unknown or document.get("params"):
        raise RequestError(422, f"{unknown[0] if unknown else 'params'!r}: not understood")
    (form,) = given
    return reader.rows(_RECORDS[form](document[form], reader.names))


def _split(value: Any, names: list[str]) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        raise RequestError(422, f"dataframe_split: expected an object, got {kind_of(value)}")
    unknown = sorted(value.keys() - SPLIT)
    if unknown:
        # What is meant for `columns` would else leave the values in the order of training.
        raise RequestError(422, f"dataframe_split.{unknown[0][:100]}: not understood")
    columns, data = value.get("columns", names), value.get("data")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise RequestError(422, "dataframe_split.columns: expected a list of strings")
    if len(set(columns)) != len(columns):
        raise RequestError(422, "dataframe_split.columns: a column stands twice")
    return _from_lists("dataframe_split.data", data, columns)


def _records(value: Any, names: list[str]) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise RequestError(422, f"dataframe_records: expected a list, got {kind_of(value)}")
    return as_records(value)


def _inputs(value: Any, names: list[str]) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return _from_columns(value)
    return _from_lists("inputs", value, names)


def _instances(value: Any, names: list[str]) -> list[dict[str, Any]]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return as_records(value)
    return _from_lists("instances", value, names)


def _from_columns(columns: dict[str, Any]) -> list[dict[str, Any]]:
    flat = {}
    for name, values in columns.items():
        if not isinstance(values, list):
            raise RequestError(422, f"inputs.{name[:100]}: expected a list, got {kind_of(values)}")
        # MLflow's clients send a column as [n, 1] as well.
        single = all(isinstance(value, list) and len(value) == 1 for value in values)
        flat[name] = [value[0] for value in values] if single else values
    sizes = {len(values) for values in flat.values()}
    if len(sizes) > 1:
        raise RequestError(422, f"inputs: columns of {min(sizes)} and of {max(sizes)} values")
    refuse_count(max(sizes, default=0))
    return [dict(zip(flat, row, strict=True)) for row in zip(*flat.values(), strict=True)]


def _from_lists(where: str, rows: Any, names: list[str]) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        raise RequestError(422, f"{where}: expected a list of rows, got {kind_of(rows)}")
    refuse_count(len(rows))
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            got = f"{len(row)} values" if isinstance(row, list) else kind_of(row)
            raise RequestError(
                422, f"{where}, row {number}: expected {len(names)} values, got {got}"
            )
    return [dict(zip(names, row, strict=True)) for row in rows]


_RECORDS = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "inputs": _inputs,
    "instances": _instances,
}
