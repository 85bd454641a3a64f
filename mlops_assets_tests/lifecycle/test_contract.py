"""Contracts: each kind of bad data becomes a failure that names the column and shows the rows."""

import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from mlops_assets.lifecycle.contract import (
    Contract,
    ContractReport,
    InlineContract,
    as_declared,
    check,
    describe,
    enforce,
    to_schema,
)
from mlops_assets.lifecycle.errors import ContractViolation, DeclarationError

HERE = "mlops_assets_tests.lifecycle.test_contract"
INLINE = InlineContract.model_validate(
    {
        "columns": {
            "id": {"dtype": "int64"},
            "amount": {"dtype": "float64", "ge": 0, "lt": 1000},
            "country": {"dtype": "str", "isin": ["DE", "FR"]},
            "at": {"dtype": "datetime64[ns, UTC]"},
            "note": {"dtype": "str", "nullable": True},
        },
        "unique": ["id", "at"],
    }
)


class Model(pa.DataFrameModel):
    amount: float = pa.Field(ge=0, coerce=True)
    code: str = pa.Field(unique=True)


SCHEMA = pa.DataFrameSchema(
    {"amount": pa.Column(float)},
    checks=pa.Check(lambda rows: rows["amount"] < rows["limit"], error="amount below limit"),
)
UNHASHABLE = pa.DataFrameSchema(
    {"tags": pa.Column("object", unique=True), "amount": pa.Column(float, pa.Check.ge(0))}
)
RAISES = pa.DataFrameSchema({"amount": pa.Column(float, pa.Check(lambda column: column.nope))})
DROPS = pa.DataFrameSchema({"amount": pa.Column(float)}, drop_invalid_rows=True)
UNIQUE_OF_NOTHING = pa.DataFrameSchema(unique=["missing"])
not_a_schema = 3


def good(rows=3):
    return pd.DataFrame(
        {
            "id": range(rows),
            "amount": np.linspace(1.0, 10.0, rows),
            "country": ["DE"] * rows,
            "at": pd.date_range("2026-01-05", periods=rows, tz="UTC"),
            "note": ["x"] * rows,
        }
    )


def failures(frame, contract=INLINE, required=(), **options):
    """The report's failures by check and column, after a round trip through JSON."""
    report = check(frame, contract, required=list(required), name="shop 2026-01-05", **options)
    assert report.rows == len(frame)
    assert report.passed == (not report.failures)
    text = report.model_dump_json()
    json.loads(text, parse_constant=pytest.fail)
    assert ContractReport.model_validate_json(text) == report
    return {(each.check, each.column): each for each in report.failures}


def rows_of(failure):
    return [example.row for example in failure.examples]


# --- what passes ----------------------------------------------------------------------------


def test_a_good_frame_passes_and_comes_back():
    report = check(good(), INLINE, required=["id", "at"], name="shop", time="at")
    assert report.passed
    assert report.summary() == "shop: 3 rows keep the contract"
    assert report.to_markdown() == report.summary()
    kept = enforce(good(), INLINE, required=["id"], name="shop")
    pd.testing.assert_frame_equal(kept, good())


def test_a_schema_that_coerces_gives_back_the_coerced_frame():
    frame = pd.DataFrame({"amount": ["1", "2.5"], "code": ["a", "b"]}, index=[7, 7])
    kept = enforce(frame, f"{HERE}.Model", required=[], name="shop")
    assert kept["amount"].tolist() == [1.0, 2.5]
    assert list(kept.index) == [0, 1]
    assert frame["amount"].tolist() == ["1", "2.5"]


def test_no_contract_still_has_the_platforms_own_checks():
    assert not failures(good(), None)
    assert list(failures(good().assign(amount=[1, np.nan, np.inf]), None, ["amount"])) == [
        ("not null", "amount"),
        ("finite", "amount"),
    ]


def test_nulls_are_counted_by_column():
    frame = good().assign(note=[None, np.nan, "x"])
    report = check(frame, INLINE, required=[], name="shop")
    assert report.passed
    assert report.nulls == {"id": 0, "amount": 0, "country": 0, "at": 0, "note": 2}


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (["1", "2"], "int64", "int64"),
        (["1.5", "-2e3"], "float64", "float64"),
        ([1.0, 2.0], "int64", "int64"),
        ([1, 2], "float64", "float64"),
        ([1.0, None], "Int64", "Int64"),
        ([None, None], "float64", "float64"),
        # What would lose or invent something is left for the contract to name.
        (["1", "x"], "float64", "object"),
        (["0x1F", "1"], "int64", "object"),
        ([1.0, 2.5], "int64", "float64"),
        ([1.0, None], "int64", "float64"),
        ([-1, 1], "uint8", "int64"),
        ([300, 1], "int8", "int64"),
        ([0.1, 0.2], "float32", "float64"),
        ([2**60 + 1, 1], "float64", "int64"),
        ([True, False], "int64", "bool"),
        ([1, 2], "str", "int64"),
        ([1, 2], "bool", "int64"),
    ],
)
def test_untyped_numbers_are_of_the_declared_type_where_no_value_changes(values, dtype, expected):
    frame = pd.DataFrame({"n": values, "other": "x"})
    contract = InlineContract.model_validate({"columns": {"n": {"dtype": dtype, "nullable": True}}})
    kept = as_declared(frame, contract)
    assert kept["n"].dtype == expected
    if expected == dtype:
        assert not failures(kept, contract)
        assert [None if v is pd.NA or v != v else v for v in kept["n"]] == [
            None if v is None or v != v else float(v) for v in frame["n"]
        ]
    else:
        assert kept is frame or kept["n"].equals(frame["n"])
        assert failures(kept, contract)
    assert as_declared(frame, None) is frame


# --- what fails -----------------------------------------------------------------------------


def test_missing_columns_are_named_with_the_nearest():
    found = failures(good().rename(columns={"amount": "amont"}), required=["amount", "target"])
    assert found["column exists", "amount"].detail == "missing; did you mean 'amont'?"
    assert ("column exists", "target") in found
    assert len(found) == 2


def test_wrong_dtype():
    found = failures(good().assign(amount=["1", "x", "3"]))
    failure = found["dtype('float64')", "amount"]
    assert failure.detail == "object"
    assert rows_of(failure) == [1]
    found = failures(good().assign(amount=[1, 2, 3]))
    failure = found["dtype('float64')", "amount"]
    assert (failure.detail, failure.count, rows_of(failure)) == ("int64", 3, [])


def test_a_number_that_is_text_is_told_once():
    found = failures(good().assign(amount=["1", "x", "3"], id=[1.0, 2.5, 3.0]))
    assert sorted(column for _, column in found) == ["amount", "id"]
    assert rows_of(found["dtype('int64')", "id"]) == [1]
    negative = failures(good().assign(amount=[-1, 2, 3]))
    assert len(negative) == 2, "numbers of another type are still held against their bounds"


def test_nulls():
    frame = good().assign(amount=[1.0, np.nan, 2.0], country=["DE", "FR", None])
    found = failures(frame, required=["amount", "note"])
    assert set(found) == {("not null", "amount"), ("not null", "country")}
    assert rows_of(found["not null", "amount"]) == [1]
    assert found["not null", "amount"].examples[0].values["amount"] is None


def test_out_of_range_and_not_allowed():
    frame = good().assign(amount=[-1.0, 1000.0, 5.0], country=["DE", "XX", "YY"])
    found = failures(frame)
    assert rows_of(found["greater_than_or_equal_to(0.0)", "amount"]) == [0]
    assert rows_of(found["less_than(1000.0)", "amount"]) == [1]
    assert rows_of(found["isin(['DE', 'FR'])", "country"]) == [1, 2]
    assert found["isin(['DE', 'FR'])", "country"].examples[0].values == {
        "id": 1,
        "amount": 1000.0,
        "country": "XX",
        "at": "2026-01-06T00:00:00+00:00",
        "note": "x",
    }


def test_duplicate_keys():
    frame = pd.concat([good(), good().iloc[[1]]])
    found = failures(frame)
    assert rows_of(found["unique together", "id, at"]) == [1, 3]
    model = pd.DataFrame({"amount": [1.0, 2.0], "code": ["a", "a"]})
    assert rows_of(failures(model, f"{HERE}.Model")["unique", "code"]) == [0, 1]


def test_an_empty_window():
    found = failures(good(0), required=["id"])
    assert list(found) == [("no rows in window", None)]
    found = failures(pd.DataFrame(), required=["id"])
    assert ("no rows in window", None) in found
    assert ("column exists", "amount") in found
    assert ("column exists", "id") in found


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64"])
def test_infinities(dtype):
    frame = good().assign(amount=pd.Series([1.0, np.inf, -np.inf]).astype(dtype))
    found = failures(frame, None)
    assert rows_of(found["finite", "amount"]) == [1, 2]
    assert [e.values["amount"] for e in found["finite", "amount"].examples] == ["inf", "-inf"]


def test_mixed_time_zones():
    berlin = timezone(timedelta(hours=1))
    times = [
        datetime(2026, 1, 5),
        datetime(2026, 1, 5, tzinfo=UTC),
        datetime(2026, 1, 6, tzinfo=berlin),
    ]
    frame = good().assign(at=pd.Series(times, dtype=object))
    found = failures(frame, None)
    failure = found["one time zone", "at"]
    assert failure.count == 3
    assert rows_of(failure) == [0, 1, 2]
    assert "1 at offset naive" in failure.detail


@pytest.mark.parametrize(
    "times",
    [
        ["2026-01-05", "2026-01-06", "2026-01-07"],
        pd.date_range("2026-01-05", periods=3),
        pd.date_range("2026-01-05", periods=3, tz="Europe/Berlin"),
        [1, 2, 3],
    ],
)
def test_a_time_column_that_is_not_utc(times):
    assert list(failures(good().assign(at=times), None, time="at")) == [("time in UTC", "at")]


def test_column_names_that_repeat_or_are_not_text():
    frame = good()
    frame.columns = ["id", "amount", "amount", "at", 5]
    found = failures(frame, required=["amount"])
    assert found["column once", "amount"].detail == "2 columns of this name"
    assert found["column name", "5"].detail == "the name is int, not text"


def test_strict_refuses_other_columns():
    strict = INLINE.model_copy(update={"strict": True})
    assert list(failures(good().assign(extra=1), strict)) == [("column declared", "extra")]


def test_every_failure_is_found_at_once():
    frame = good().assign(
        amount=[-1.0, np.nan, np.inf], country=[1, None, "XX"], id=[1.0, 1.0, 2.0]
    )
    found = failures(frame.drop(columns="note"), required=["target"])
    columns = {column for _, column in found}
    assert columns == {"amount", "country", "id", "note", "target"}


def test_examples_are_limited_but_counts_are_not():
    frame = good(100).assign(amount=-1.0)
    found = failures(frame, max_rows=5)
    failure = found["greater_than_or_equal_to(0.0)", "amount"]
    assert (failure.count, rows_of(failure)) == (100, [0, 1, 2, 3, 4])


def test_checks_on_the_whole_table():
    frame = pd.DataFrame({"amount": [1.0, 5.0], "limit": [2.0, 2.0]})
    found = failures(frame, f"{HERE}.SCHEMA")
    assert rows_of(found["amount below limit", None]) == [1]
    found = failures(frame.drop(columns="limit"), f"{HERE}.SCHEMA")
    assert "KeyError" in found["amount below limit", None].detail


# --- Pandera does not leak, and does not pass in silence ------------------------------------


def test_a_crash_in_pandera_names_the_column_and_the_others_are_still_checked():
    frame = pd.DataFrame({"tags": [["a"], ["a"]], "amount": [1.0, -1.0]})
    found = failures(frame, f"{HERE}.UNHASHABLE")
    assert "unhashable" in found["can be checked", "tags"].detail
    assert rows_of(found["greater_than_or_equal_to(0)", "amount"]) == [1]


def test_a_check_that_raises_fails():
    (failure,) = failures(pd.DataFrame({"amount": [1.0]}), f"{HERE}.RAISES").values()
    assert failure.column == "amount"
    assert "AttributeError" in failure.detail


def test_the_environment_cannot_switch_contracts_off(monkeypatch):
    from pandera.config import CONFIG, reset_config_context

    monkeypatch.setattr(CONFIG, "validation_enabled", False)
    reset_config_context()
    assert failures(good().assign(amount=-1.0))
    monkeypatch.undo()
    reset_config_context()


def test_uniqueness_of_a_column_that_is_missing_fails():
    found = failures(good(), f"{HERE}.UNIQUE_OF_NOTHING")
    assert list(found) == [("column exists", "missing")]


def test_a_contract_that_drops_rows_is_refused():
    with pytest.raises(DeclarationError, match="drops invalid rows"):
        to_schema(f"{HERE}.DROPS")
    with pytest.raises(DeclarationError, match="not a pandera"):
        to_schema(f"{HERE}.not_a_schema")


# --- enforcing and telling ------------------------------------------------------------------


def test_enforce_raises_with_the_report():
    with pytest.raises(ContractViolation) as caught:
        enforce(good().assign(amount=-1.0), INLINE, required=[], name="shop 2026-01-05")
    assert str(caught.value) == (
        "shop 2026-01-05: 1 check fails on 3 rows: greater_than_or_equal_to(0.0) (amount)"
    )
    assert caught.value.report.failures[0].count == 3


def test_markdown_escapes_and_limits():
    frame = good(30).assign(amount=-1.0, note="a|b\nc\\d")
    report = check(frame, INLINE, required=[], name="shop", max_rows=30)
    text = report.to_markdown(max_rows=4)
    assert "a\\|b c\\\\d" in text
    failing, examples = text.split("\n\n")
    assert len(failing.splitlines()) == 3
    assert len(examples.splitlines()) == 2 + 4


@pytest.mark.parametrize(
    "change", [{"rows": 0}, {"failures": [{"check": "x", "column": None, "count": 1}]}]
)
def test_a_report_cannot_say_it_passed_when_it_did_not(change):
    with pytest.raises(ValidationError, match="has not passed"):
        ContractReport.model_validate({"name": "x", "passed": True, "rows": 3, **change})


def test_values_are_safe_for_json():
    values = [b"bytes", pd.NA, np.datetime64("2026-01-05"), {"a": {1}}, "x" * 500, np.bool_(True)]
    frame = good(6).assign(amount=-1.0, note=pd.Series(values, dtype=object))
    found = failures(frame, INLINE)
    shown = [e.values["note"] for e in found["greater_than_or_equal_to(0.0)", "amount"].examples]
    assert shown[1] is None
    assert shown[5] is True
    assert len(shown[4]) < 500


def test_describe():
    assert describe(INLINE)[1] == {
        "column": "amount",
        "dtype": "float64",
        "checks": "not null; greater_than_or_equal_to(0.0); less_than(1000.0)",
    }
    assert describe(INLINE)[-1] == {"column": "*", "dtype": "", "checks": "unique together: id, at"}
    assert [row["column"] for row in describe(f"{HERE}.Model")] == ["amount", "code"]
    assert describe(f"{HERE}.SCHEMA")[-1]["checks"] == "amount below limit"
    assert describe(None) == []


# --- declaring ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"columns": {}}, "at least 1"),
        (
            {"columns": {"a": {"dtype": "flaot64"}}},
            "unknown dtype 'flaot64'; did you mean 'float64'",
        ),
        ({"columns": {"a": {"dtype": "int64", "min": 0}}}, "unknown key 'min'"),
        ({"columns": {"a": {"dtype": "int64", "ge": 2, "le": 1}}}, "above 2 and below 1"),
        ({"columns": {"a": {"dtype": "int64", "ge": 2, "gt": 1}}}, "one of 'ge' and 'gt'"),
        ({"columns": {"a": {"dtype": "int64", "ge": float("nan")}}}, "finite number"),
        ({"columns": {"amount": {"dtype": "int64"}}, "unique": ["amont"]}, "did you mean 'amount'"),
        ("mlops_assets_tests.lifecycle.test_contract.Modle", "did you mean 'Model'"),
        (3, "a contract is the dotted path of a Pandera schema"),
    ],
)
def test_a_wrong_contract_fails_when_it_is_declared(data, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Contract).validate_python(data)


def test_contract_kinds():
    adapter = TypeAdapter(Contract)
    assert adapter.validate_python(None) is None
    assert adapter.validate_python(f"{HERE}.Model") == f"{HERE}.Model"
    assert adapter.validate_python(INLINE.model_dump()) == INLINE
    for dtype in ("Int64", "boolean", "category", "timedelta64[ns]", "string"):
        to_schema(InlineContract.model_validate({"columns": {"a": {"dtype": dtype}}}))
