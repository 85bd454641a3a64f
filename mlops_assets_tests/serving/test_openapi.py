"""The OpenAPI document, and a server that keeps to it whatever it is asked."""

import contextlib
import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from mlops_assets.lifecycle.artifact import Feature, Serving
from mlops_assets.serving.documents import parse_document
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.payload import RecordReader, as_records
from mlops_assets_tests.serving.conftest import running, serves, wait_for

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def server(bench):
    """A client of a server."""
    version, _ = bench.classifier("documented <card>")
    bench.promote(version)
    with running(bench.settings) as client:
        wait_for(serves(client, version))
        yield client


@pytest.fixture
def described(server):
    """The document, for schemathesis; of the models, only the one of this file."""
    document = server.get("/openapi.json").json()
    document["paths"] = {
        path: item
        for path, item in document["paths"].items()
        if all("tags" not in op or op["tags"] == ["documented <card>"]
               for op in item.values() if isinstance(op, dict))
    }  # fmt: skip
    loaded = schemathesis.openapi.from_dict(document)
    loaded.config.update(base_url=str(server.base_url))
    return loaded


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_server_keeps_to_its_document(described, mode):
    asked = set()
    for operation in (found.ok() for found in described.get_all_operations()):

        @given(operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def keeps(case):
            asked.add(case.operation.label)
            case.call_and_validate(checks=CHECKS)

        # Nothing can be wrong with a question that has no parts.
        with contextlib.suppress(Unsatisfiable):
            keeps()
    assert "POST /predict/documented%20%3Ccard%3E" in asked
    assert "POST /v2/models/documented%20%3Ccard%3E/feedback" in asked
    assert "POST /v2/models/documented%20%3Ccard%3E/infer" in asked


def test_document_has_each_models_own_fields(server):
    document = server.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    body = document["paths"]["/predict/documented%20%3Ccard%3E"]["post"]["requestBody"]
    _, record = body["content"]["application/json"]["schema"]["anyOf"]
    assert record["required"] == ["amount", "count"]
    assert record["properties"].keys() == {"amount", "count", "card_id", "at", "transaction_id"}
    assert record["properties"]["count"]["type"] == "integer"
    assert "/v2/models/documented%20%3Ccard%3E/feedback" in document["paths"]


def test_page_works_offline_and_escapes_names(server):
    reply = server.get("/docs")
    assert reply.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "documented &lt;card&gt;" in reply.text
    assert "<card>" not in reply.text
    assert "<script" not in reply.text
    assert "http://" not in reply.text
    assert "https://" not in reply.text


def _reader(text):
    """A reader of records with a feature of every kind."""
    return RecordReader(
        Serving(
            model="m",
            task="regression",
            features=[
                Feature(name="real", dtype="float64"),
                Feature(name="half", dtype="float32"),
                Feature(name="whole", dtype="int64"),
                Feature(name="small", dtype="UInt8"),
                Feature(name="flag", dtype="bool"),
                Feature(name=text, dtype="object"),
            ],
            unit="unit",
            time="at",
            key=["key"],
        )
    )


_numbers = st.one_of(st.integers(), st.floats(), st.none(), st.booleans())
_texts = st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Lu"])), st.integers())
_times = st.one_of(st.datetimes().map(str), st.just("soon"), st.integers())
_records = st.fixed_dictionaries(
    {"real": _numbers, "half": _numbers, "whole": st.one_of(st.integers(), _numbers),
     "small": st.one_of(st.integers(-1, 300), _numbers), "flag": st.booleans(), "téxt": _texts},
    optional={"unit": _texts, "at": _times, "key": _texts, "other": st.none()},
)  # fmt: skip


def _said(read, body):
    try:
        return repr(read(body))
    except RequestError as error:
        return error.status, error.message


READER = _reader("téxt")


@given(st.one_of(_records, st.lists(_records, max_size=3)))
@settings(max_examples=300, deadline=None)
def test_typed_reader_means_what_the_explaining_one_does(document):
    body = json.dumps(document).encode()
    explained = _said(lambda b: READER.rows(as_records(parse_document(b))), body)
    assert _said(READER.read, body) == explained


def test_field_whose_name_json_escapes():
    row = {"real": 1, "half": 2, "whole": 3, "small": 4, "flag": True, 'te"\\xt': "a"}
    read = _reader('te"\\xt').read(json.dumps(row).encode())
    assert read.count == 1
    assert dict(zip(read.names, read.values[0], strict=True)) == row


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_a_reader(body):
    said = _said(READER.read, body)
    assert isinstance(said, tuple)
    assert 400 <= said[0] < 500
