"""Sources: real files and a real SQLite; exact windows, and bad data that is named."""

import gzip
import sqlite3
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from mlops_assets.lifecycle.contract import InlineContract, as_declared
from mlops_assets.lifecycle.errors import DeclarationError, SourceError
from mlops_assets.lifecycle.sources import (
    CsvSource,
    ParquetSource,
    PythonSource,
    Source,
    SqlSource,
)
from mlops_assets.lifecycle.window import Window

START = datetime(2026, 1, 5, tzinfo=UTC)
END = datetime(2026, 1, 12, tzinfo=UTC)
WEEK = Window("2026-01-05", START, END)
EVERYTHING = Window("all")
TICK = timedelta(microseconds=1)
# Rows 1, 2 and 3 are in the window: its start is, its end is not.
TIMES = [START - TICK, START, START + timedelta(days=3), END - TICK, END]
HERE = "mlops_assets_tests.lifecycle.test_sources"


def frame(times=TIMES):
    return pd.DataFrame({"id": range(len(times)), "at": pd.to_datetime(times, utc=True)})


def python_rows(window, shift=0):
    return frame().assign(id=lambda rows: rows.id + shift)


def python_naive(window):
    return frame().assign(at=lambda rows: rows["at"].dt.tz_localize(None))


def python_fails(window):
    raise ZeroDivisionError("of the user's")


def python_returns_a_list(window):
    return [1]


def write_csv(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return CsvSource(path=path.name)


def database(folder, texts, declared="TEXT"):
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute(f'CREATE TABLE "order" (id INTEGER, "at" {declared})')
        connection.executemany('INSERT INTO "order" VALUES (?, ?)', list(enumerate(texts)))
    connection.close()


def ids(source, folder, window=WEEK, time="at"):
    rows = source.read(window, time=time, base=folder)
    if time is not None:
        assert str(rows[time].dtype) == "datetime64[us, UTC]"
    assert list(rows.index) == list(range(len(rows)))
    return rows["id"].tolist()


def refusal(source, folder, window=WEEK, time="at"):
    with pytest.raises(SourceError) as caught:
        source.read(window, time=time, base=folder)
    return str(caught.value)


# --- window bounds --------------------------------------------------------------------------

SPELLINGS = {
    "aware": lambda t: t.isoformat(),
    "zulu": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "naive": lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f"),
    "naive_T": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%f"),
    "offset": lambda t: (t + timedelta(hours=14)).strftime("%Y-%m-%dT%H:%M:%S.%f+14:00"),
    "compact": lambda t: t.strftime("%Y%m%dT%H%M%S.%fZ"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_csv_window(tmp_path, spelling):
    lines = [f"{row},{SPELLINGS[spelling](t)}" for row, t in enumerate(TIMES)]
    source = write_csv(tmp_path / "a.csv", "id,at\n" + "\n".join(lines) + "\n")
    assert ids(source, tmp_path) == [1, 2, 3]
    assert ids(source, tmp_path, EVERYTHING) == [0, 1, 2, 3, 4]
    assert ids(source, tmp_path, EVERYTHING, time=None) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("declared", ["TEXT", "DATETIME", "TIMESTAMP"])
def test_sql_table_window(tmp_path, spelling, declared):
    database(tmp_path, [SPELLINGS[spelling](t) for t in TIMES], declared)
    source = SqlSource(url="sqlite:///shop.db", table="order")
    assert ids(source, tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("spelling", ["naive", "naive_T"])
def test_sql_query_window(tmp_path, spelling):
    texts = [SPELLINGS[spelling](t) for t in TIMES]
    database(tmp_path, [*texts, "2026-01-05", "2026-01-12", "2026-01-05 00:00:00"])
    query = 'SELECT * FROM "order" WHERE "at" >= :window_start AND "at" < :window_end'
    source = SqlSource(url="sqlite:///shop.db", query=query)
    assert ids(source, tmp_path) == [1, 2, 3, 5, 7]


def test_sql_query_that_reads_too_much_is_cut(tmp_path):
    database(tmp_path, [SPELLINGS["naive"](t) for t in TIMES])
    query = 'SELECT * FROM "order" WHERE :window_start < :window_end'
    assert ids(SqlSource(url="sqlite:///shop.db", query=query), tmp_path) == [1, 2, 3]


PARQUET_TIMES = {
    "utc_us": lambda at: at.astype("datetime64[us, UTC]"),
    "utc_ns": lambda at: at,
    "berlin": lambda at: at.dt.tz_convert("Europe/Berlin"),
    "naive": lambda at: at.dt.tz_localize(None),
    "text": lambda at: at.map(lambda moment: moment.isoformat()),
}


@pytest.mark.parametrize("kind", PARQUET_TIMES)
def test_parquet_window(tmp_path, kind):
    rows = frame()
    rows.assign(at=PARQUET_TIMES[kind](rows["at"])).to_parquet(tmp_path / "a.parquet")
    assert ids(ParquetSource(path="a.parquet"), tmp_path) == [1, 2, 3]
    assert ids(ParquetSource(path="a.parquet"), tmp_path, EVERYTHING) == [0, 1, 2, 3, 4]


def test_parquet_window_of_dates_and_of_an_index(tmp_path):
    rows = frame([START - timedelta(days=1), START, END - timedelta(days=1), END])
    rows.assign(at=rows["at"].dt.date).to_parquet(tmp_path / "dates.parquet")
    assert ids(ParquetSource(path="dates.parquet"), tmp_path) == [1, 2]
    rows.set_index("at").to_parquet(tmp_path / "index.parquet")
    assert ids(ParquetSource(path="index.parquet"), tmp_path) == [1, 2]


def test_parquet_is_filtered_by_the_reader(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    frame().to_parquet(tmp_path / "a.parquet")
    read, seen = pq.read_table, []

    def spy(*args, **kwargs):
        seen.append(read(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(pq, "read_table", spy)
    ids(ParquetSource(path="a.parquet"), tmp_path)
    assert seen[0].num_rows == 3


@pytest.mark.parametrize("function", ["python_rows", "python_naive"])
def test_python_window(tmp_path, function):
    source = PythonSource(function=f"{HERE}.{function}")
    assert ids(source, tmp_path) == [1, 2, 3]
    assert ids(source, tmp_path, EVERYTHING) == [0, 1, 2, 3, 4]


def test_python_params(tmp_path):
    source = PythonSource(function=f"{HERE}.python_rows", params={"shift": 10})
    assert ids(source, tmp_path) == [11, 12, 13]


def test_an_empty_window_is_an_empty_frame(tmp_path):
    old = Window("2020-01-01", datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))
    frame().to_parquet(tmp_path / "a.parquet")
    frame().to_csv(tmp_path / "a.csv", index=False)
    database(tmp_path, [SPELLINGS["naive"](t) for t in TIMES])
    query = 'SELECT * FROM "order" WHERE "at" >= :window_start AND "at" < :window_end'
    for source in (
        CsvSource(path="a.csv"),
        ParquetSource(path="a.parquet"),
        SqlSource(url="sqlite:///shop.db", table="order"),
        SqlSource(url="sqlite:///shop.db", query=query),
        PythonSource(function=f"{HERE}.python_rows"),
    ):
        rows = source.read(old, time="at", base=tmp_path)
        assert len(rows) == 0
        assert list(rows.columns) == ["id", "at"]


# --- the time column ------------------------------------------------------------------------


def test_offsets_may_differ_but_not_be_missing_in_some_rows(tmp_path):
    same = "id,at\n0,2026-01-06T01:00:00+02:00\n1,2026-01-05T18:00:00-05:00\n"
    rows = write_csv(tmp_path / "a.csv", same).read(WEEK, time="at", base=tmp_path)
    assert rows["at"].nunique() == 1
    mixed = write_csv(tmp_path / "b.csv", same + "2,2026-01-07T10:00:00\n")
    message = refusal(mixed, tmp_path)
    assert "b.csv" in message
    assert "mixes 2 timestamps with an offset (row 0" in message
    assert "and 1 without (row 2" in message


@pytest.mark.parametrize(
    "bad", ["yesterday", "now", "today", "05/01/2026", "2026", "1767571200", "2026-13-01"]
)
def test_unreadable_timestamps_are_refused_by_row(tmp_path, bad):
    source = write_csv(tmp_path / "a.csv", f"id,at\n0,2026-01-06\n1,{bad}\n")
    assert f"1 of 2 rows: row 1 ('{bad}')" in refusal(source, tmp_path)


def test_a_row_without_a_time_belongs_to_no_window_and_is_refused(tmp_path):
    source = write_csv(tmp_path / "a.csv", "id,at\n0,2026-01-06\n1,\n2,\n")
    assert "has no value in 2 of 3 rows: row 1" in refusal(source, tmp_path)
    rows = frame()
    rows.loc[2, "at"] = pd.NaT
    rows.to_parquet(tmp_path / "a.parquet")
    assert "has no value in 1" in refusal(ParquetSource(path="a.parquet"), tmp_path)
    database(tmp_path, ["2026-01-06", None])
    assert "has no value in 1" in refusal(
        SqlSource(url="sqlite:///shop.db", table="order"), tmp_path
    )


def test_numbers_are_not_guessed_to_be_times(tmp_path):
    pd.DataFrame({"id": [0], "at": [1767571200]}).to_parquet(tmp_path / "a.parquet")
    assert "holds int64, not time" in refusal(ParquetSource(path="a.parquet"), tmp_path)
    database(tmp_path, [1767571200], "INTEGER")
    message = refusal(SqlSource(url="sqlite:///shop.db", table="order"), tmp_path)
    assert "holds int64, not time" in message


def test_a_missing_time_column_is_named_with_the_nearest(tmp_path):
    frame().rename(columns={"at": "att"}).to_csv(tmp_path / "a.csv", index=False)
    frame().rename(columns={"at": "att"}).to_parquet(tmp_path / "a.parquet")
    for source in (CsvSource(path="a.csv"), ParquetSource(path="a.parquet")):
        message = refusal(source, tmp_path)
        assert f"{source.path}: no time column 'at'; did you mean 'att'?" in message
    database(tmp_path, [])
    sql = SqlSource(url="sqlite:///shop.db", table="order")
    assert "no time column 'att'; did you mean 'at'?" in refusal(sql, tmp_path, time="att")
    python = PythonSource(function=f"{HERE}.python_rows")
    assert "no time column 'att'" in refusal(python, tmp_path, time="att")
    assert "none is declared" in refusal(python, tmp_path, time=None)


# --- CSV ------------------------------------------------------------------------------------


def test_csv_that_is_not_utf8_names_byte_and_line(tmp_path):
    text = "id,at,city\n0,2026-01-06,Zürich\n"
    source = write_csv(tmp_path / "a.csv", text, "latin-1")
    message = refusal(source, tmp_path)
    assert f"byte 0xfc at offset {text.index('ü')} (line 2)" in message
    source = CsvSource(path="a.csv", encoding="latin-1")
    assert source.read(WEEK, time="at", base=tmp_path)["city"].tolist() == ["Zürich"]


def test_csv_bad_byte_far_into_the_file(tmp_path):
    lines = "".join(f"{row},2026-01-06,x\n" for row in range(200_000))
    (tmp_path / "a.csv").write_bytes(b"id,at,city\n" + lines.encode() + b"1,2026-01-06,\xff\n")
    assert "byte 0xff" in (message := refusal(CsvSource(path="a.csv"), tmp_path))
    assert "(line 200002)" in message


@pytest.mark.parametrize(
    ("body", "line", "fields"),
    [
        ("0,2026-01-06,x\n1,2026-01-06\n", 3, 2),
        ("0,2026-01-06,x\n1,2026-01-06,x,y\n", 3, 4),
        ("0,2026-01-06,x,y\n1,2026-01-06,x,y\n", 2, 4),
        ('0,2026-01-06,"two\nlines"\n\n1,2026-01-06\n', 5, 2),
    ],
)
def test_a_ragged_row_is_refused_by_line(tmp_path, body, line, fields):
    source = write_csv(tmp_path / "a.csv", "id,at,city\n" + body)
    message = refusal(source, tmp_path)
    assert f"a.csv, line {line}: {fields} fields, where the header has 3" in message


def test_nulls_in_the_last_column_are_not_ragged(tmp_path):
    source = write_csv(tmp_path / "a.csv", "id,at,city\n0,2026-01-06,\n1,2026-01-06,x\n")
    assert ids(source, tmp_path) == [0, 1]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    assert "the file is empty" in refusal(write_csv(tmp_path / "a.csv", text), tmp_path)


def test_csv_repeated_column_is_refused(tmp_path):
    source = write_csv(tmp_path / "a.csv", "id,at,id\n0,2026-01-06,1\n")
    assert "2 columns are named 'id'" in refusal(source, tmp_path)


def test_csv_rename_dtypes_separator_bom_and_gzip(tmp_path):
    text = "\ufeffId;When;code\n1;2026-01-06;007\n"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    source = CsvSource(
        path="a.csv.gz",
        separator=";",
        rename={"Id": "id", "When": "at"},
        dtypes={"code": "str", "Id": "float32"},
    )
    rows = source.read(WEEK, time="at", base=tmp_path)
    assert list(rows.columns) == ["id", "at", "code"]
    assert rows["code"].tolist() == ["007"]
    assert rows["id"].dtype == "float32"


def test_csv_numbers_are_those_of_json_to_the_last_bit(tmp_path):
    numbers = np.random.default_rng(0).lognormal(sigma=3, size=2_000)
    text = [repr(float(number)) for number in numbers]
    source = write_csv(tmp_path / "orders.csv", "n\n" + "\n".join(text) + "\n")
    assert (source.read(EVERYTHING, time=None, base=tmp_path)["n"] == numbers).all()
    # A word somewhere makes text of the column, and the contract numbers of it again.
    contract = InlineContract.model_validate({"columns": {"n": {"dtype": "float64"}}})
    assert (as_declared(pd.DataFrame({"n": text}), contract)["n"] == numbers).all()


def test_csv_dtype_that_does_not_fit_names_the_column(tmp_path):
    write_csv(tmp_path / "a.csv", "id,at,city\n0,2026-01-06,x\n")
    source = CsvSource(path="a.csv", dtypes={"id": "int64", "city": "float64"})
    message = refusal(source, tmp_path)
    assert "column 'city' cannot be read as float64: could not convert" in message
    unknown = CsvSource(path="a.csv", dtypes={"id": "flaot64"})
    assert "column 'id' cannot be read as flaot64" in refusal(unknown, tmp_path)
    missing = CsvSource(path="a.csv", dtypes={"ctiy": "str"})
    assert "did you mean 'city'" in refusal(missing, tmp_path)


def test_rename_refuses_what_would_lose_a_column(tmp_path):
    write_csv(tmp_path / "a.csv", "id,at,city\n0,2026-01-06,x\n")
    taken = CsvSource(path="a.csv", rename={"city": "id"})
    assert "2 columns are named 'id'" in refusal(taken, tmp_path)
    missing = CsvSource(path="a.csv", rename={"ctiy": "town"})
    assert "no column to rename 'ctiy'; did you mean 'city'?" in refusal(missing, tmp_path)
    with pytest.raises(ValidationError, match="two columns are renamed to 'x'"):
        CsvSource(path="a.csv", rename={"a": "x", "b": "x"})


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["none.csv", "none-*.csv", "/nowhere/at/all.csv", "folder"])
def test_a_missing_file_is_named(tmp_path, path):
    (tmp_path / "folder").mkdir()
    message = refusal(CsvSource(path=path), tmp_path)
    assert path in message
    assert "no file" in message


def test_a_glob_reads_files_in_the_order_of_their_names(tmp_path):
    for name, row in (("b", 1), ("a", 0), ("c", 2)):
        rows = pd.DataFrame({"id": [row], "at": ["2026-01-06"]})
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
        rows.to_parquet(tmp_path / f"{name}.parquet")
    assert ids(CsvSource(path="*.csv"), tmp_path) == [0, 1, 2]
    assert ids(ParquetSource(path="*.parquet"), tmp_path) == [0, 1, 2]


def test_files_of_a_glob_must_have_the_same_columns(tmp_path):
    write_csv(tmp_path / "a.csv", "id,at\n0,2026-01-06\n")
    write_csv(tmp_path / "b.csv", "id,at,city\n0,2026-01-06,x\n")
    message = refusal(CsvSource(path="*.csv"), tmp_path)
    assert "b.csv: columns differ" in message
    assert "['city']" in message


def test_a_file_without_rows_in_the_window_does_not_change_types(tmp_path):
    write_csv(tmp_path / "a.csv", "id,at\n")
    write_csv(tmp_path / "b.csv", "id,at\n0,2026-01-06\n")
    rows = CsvSource(path="*.csv").read(WEEK, time="at", base=tmp_path)
    assert rows["id"].dtype == "int64"


def test_fsspec_urls_and_the_environment(tmp_path, monkeypatch):
    import fsspec

    with fsspec.open("memory://bucket/a.csv", "w") as file:
        file.write("id,at\n0,2026-01-06\n")
    monkeypatch.setenv("BUCKET", "bucket")
    assert ids(CsvSource(path="memory://{{ env.BUCKET }}/*.csv"), tmp_path) == [0]
    with pytest.raises(DeclarationError, match="NOT_SET_HERE"):
        ids(CsvSource(path="memory://{{ env.NOT_SET_HERE }}/*.csv"), tmp_path)
    assert "nope" in refusal(CsvSource(path="nope://bucket/a.csv"), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not parquet at all", b"PAR1xxxxPAR1"])
def test_a_corrupt_parquet_file_is_named(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    assert "a.parquet" in refusal(ParquetSource(path="a.parquet"), tmp_path)


# --- SQL ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [{}, {"query": "select 1", "table": "t"}, {"query": "DELETE FROM t"}, {"query": "selection"}],
)
def test_sql_declaration(keys):
    with pytest.raises(ValidationError, match=r"exactly one|must be a SELECT"):
        SqlSource(url="sqlite://", **keys)


def test_sql_query_may_begin_with_a_comment_or_with():
    assert SqlSource(url="sqlite://", query="-- orders\n/* of */ WITH a AS (SELECT 1) SELECT 1")


@pytest.mark.parametrize(
    ("query", "window", "message"),
    [
        ('SELECT * FROM "order"', WEEK, "must use :window_end"),
        ('SELECT * FROM "order" WHERE "at" > :window_start', EVERYTHING, "nothing to bind"),
        ('SELECT * FROM "order" WHERE id = :id', EVERYTHING, "nothing to bind to the query's :id"),
        ("SELECT * FROM orders", EVERYTHING, "no such table: orders"),
        ('SELECT nope FROM "order"', EVERYTHING, "no such column: nope"),
    ],
)
def test_sql_query_errors(tmp_path, query, window, message):
    database(tmp_path, [])
    source = SqlSource(url="sqlite:///shop.db", query=query)
    assert message in refusal(source, tmp_path, window)


def test_sql_missing_table_and_database(tmp_path):
    database(tmp_path, [])
    source = SqlSource(url="sqlite:///shop.db", table="ordr")
    assert "no table 'ordr'; did you mean 'order'?" in refusal(source, tmp_path)
    source = SqlSource(url="sqlite:///none.db", table="order")
    assert "no SQLite database at" in refusal(source, tmp_path)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:hunter2@127.0.0.1:1/db",
        "postgresql+nope://u:hunter2@127.0.0.1:1/db",
        "nope://u:hunter2@127.0.0.1:1/db",
        "postgresql+psycopg://u@127.0.0.1:1/db?password=hunter2",
        "u:hunter2@nowhere",
    ],
)
def test_sql_errors_do_not_tell_the_password(tmp_path, url, monkeypatch):
    import traceback

    monkeypatch.setenv("DB_URL", url)
    source = SqlSource(url="{{ env.DB_URL }}", table="t")
    with pytest.raises(SourceError) as caught:
        source.read(WEEK, time="at", base=tmp_path)
    told = "".join(traceback.format_exception(caught.value)) + repr(source)
    assert "hunter2" not in told


def test_a_table_name_is_quoted_not_run(tmp_path):
    name = 'x"; DROP TABLE "order'
    database(tmp_path, ["2026-01-06"])
    assert "no table" in refusal(SqlSource(url="sqlite:///shop.db", table=name), tmp_path)
    assert ids(SqlSource(url="sqlite:///shop.db", table="order"), tmp_path) == [0]


def test_sql_values_of_another_column_that_cannot_be_read(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE t (at TEXT, seen DATETIME)")
        connection.execute("INSERT INTO t VALUES ('2026-01-06', 'yesterday')")
    connection.close()
    message = refusal(SqlSource(url="sqlite:///shop.db", table="t"), tmp_path)
    assert "yesterday" in message
    assert "shop.db" in message


# --- Python ---------------------------------------------------------------------------------


def test_a_function_that_fails_is_named_and_chained(tmp_path):
    with pytest.raises(SourceError, match="python_fails failed on window 2026-01-05") as caught:
        PythonSource(function=f"{HERE}.python_fails").read(WEEK, time="at", base=tmp_path)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    source = PythonSource(function=f"{HERE}.python_returns_a_list")
    assert "returned list" in refusal(source, tmp_path)
    source = PythonSource(function=f"{HERE}.python_rows", params={"nope": 1})
    assert "nope" in refusal(source, tmp_path)


def test_source_is_chosen_by_type():
    adapter = TypeAdapter(Source)
    assert isinstance(adapter.validate_python({"type": "csv", "path": "x"}), CsvSource)
    with pytest.raises(ValidationError, match="'csv', 'parquet', 'sql', 'python'"):
        adapter.validate_python({"type": "cvs", "path": "x"})
    with pytest.raises(ValidationError, match="did you mean 'rename'"):
        adapter.validate_python({"type": "csv", "path": "x", "renam": {}})
    with pytest.raises(ValidationError, match="unknown encoding"):
        adapter.validate_python({"type": "csv", "path": "x", "encoding": "utf-9"})
