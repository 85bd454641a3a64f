"""Bad data stops at the contract, whatever source it comes from, and leaves what was there."""

import sqlite3
from typing import ClassVar

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.assets.types import found_right, frame_type
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets_tests.harness import (
    Lab,
    checks,
    errors,
    materialized,
    of_week,
    visits,
    week,
    weekly,
)

CONTRACT = {
    "columns": {
        "visit": {"dtype": "str"},
        "interest": {"dtype": "float"},
        "minutes": {"dtype": "float", "ge": 0},
        "bought": {"dtype": "int", "isin": [0, 1]},
    },
    "unique": ["visit"],
}
WEEK = 2


@pytest.fixture(scope="module")
def instance():
    """One Dagster instance for all tests here: what they look at is in their own folders."""
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def lab(home, tmp_path, instance):
    return Lab(tmp_path / "project", instance)


def rows(window, file):
    """A source of the python kind: whatever objects a file holds."""
    return pd.read_pickle(file)


def knows_the_whole_window(raw, window, history):
    """A feature function with the classic leak: a mean over rows that come later."""
    return raw.assign(patience=raw["minutes"] - raw["minutes"].mean())


def knows_the_past_only(raw, window, history):
    return raw.assign(patience=raw["minutes"] - raw["minutes"].expanding().mean())


def forgets_the_target(raw, window, history):
    return raw.drop(columns="bought")


class Csv:
    declared: ClassVar = {"type": "csv", "path": "data.csv"}

    def write(self, folder, frame):
        frame.to_csv(folder / "data.csv", index=False)


class Parquet:
    declared: ClassVar = {"type": "parquet", "path": "data.parquet"}

    def write(self, folder, frame):
        frame.to_parquet(folder / "data.parquet")


class Sqlite:
    declared: ClassVar = {"type": "sql", "url": "sqlite:///data.db", "table": "visits"}

    def write(self, folder, frame):
        text = frame.assign(at=frame["at"].map(str))
        with sqlite3.connect(folder / "data.db") as connection:
            text.to_sql("visits", connection, index=False, if_exists="replace")
        connection.close()


class Python:
    declared: ClassVar = {"type": "python", "function": f"{__name__}.rows"}

    def write(self, folder, frame):
        frame.to_pickle(folder / "data.pickle")


SOURCES = [Csv(), Parquet(), Sqlite(), Python()]


def by_name(source):
    return type(source).__name__.lower()


def missing_column(frame, bad):
    return frame.drop(columns="minutes")


def wrong_dtype(frame, bad):
    return frame.assign(minutes=[f"{m:.0f} minutes" for m in frame["minutes"]])


def nulls_in_the_target(frame, bad):
    return frame.assign(bought=frame["bought"].astype(float).mask(bad.cumsum().between(1, 3) & bad))


def out_of_range(frame, bad):
    return frame.assign(minutes=frame["minutes"].mask(bad.cumsum().between(1, 5) & bad, -7.0))


def duplicate_keys(frame, bad):
    return pd.concat([frame, frame[bad].head(2)], ignore_index=True)


def empty_window(frame, bad):
    return frame[~bad]


def mixed_time_zones(frame, bad):
    odd = bad & (bad.cumsum() == 1)
    spelled = [str(t.tz_localize(None) if o else t) for t, o in zip(frame["at"], odd, strict=True)]
    return frame.assign(at=spelled)


def undecodable_times(frame, bad):
    return frame.assign(at=frame["at"].map(str).mask(bad & (bad.cumsum() == 1), "last Tuesday"))


BROKEN = [
    (missing_column, "column exists (minutes)", 400, "missing"),
    (wrong_dtype, "(minutes)", 400, "dtype"),
    (nulls_in_the_target, "not null (bought)", 3, "null"),
    (out_of_range, "(minutes)", 5, "-7.0"),
    (duplicate_keys, "unique together (visit)", 4, "v000801"),
    (empty_window, "no rows in window", 0, "no rows in window"),
]
UNREADABLE = [
    (mixed_time_zones, "mixes"),
    (undecodable_times, "last Tuesday"),
]


def declare(lab, source, **changes):
    declared = dict(source.declared)
    if isinstance(source, Python):
        declared["params"] = {"file": str(lab.folder / "data.pickle")}
    lab.declare(weekly(source=declared, contract=CONTRACT, **changes))


def good_then_bad(lab, source, spoil):
    """A good week in storage, the same week spoiled at the source, and the run that meets it."""
    lab.folder.mkdir(parents=True)
    declare(lab, source)
    frame = visits(3)
    source.write(lab.folder, frame)
    good = lab.run("data", week(WEEK))
    assert good.success, errors(good)
    before = {a: lab.file(a, week(WEEK)).read_bytes() for a in ("raw_data", "validated_features")}
    source.write(lab.folder, spoil(frame, of_week(frame, WEEK)))
    return before, lab.run("lifecycle", week(WEEK))


def assert_stopped(lab, before, result):
    """The run failed at the contract, made nothing, and left what was stored; the evaluation."""
    assert not result.success
    assert materialized(result) == []
    for asset, content in before.items():
        assert lab.file(asset, week(WEEK)).read_bytes() == content
    contract = checks(result)["raw_data/contract"]
    assert not contract.passed
    assert contract.blocking
    assert contract.severity is dg.AssetCheckSeverity.ERROR
    return contract


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
@pytest.mark.parametrize(
    ("spoil", "named", "count", "shown"), BROKEN, ids=[spoil.__name__ for spoil, *_ in BROKEN]
)
def test_rows_that_break_the_contract_are_shown_and_go_no_further(
    lab, source, spoil, named, count, shown
):
    before, result = good_then_bad(lab, source, spoil)
    contract = assert_stopped(lab, before, result)
    assert named in contract.description
    assert shown in contract.metadata[f"failures in {week(WEEK)}"].value
    assert contract.metadata[f"failing values in {week(WEEK)}"].value >= count


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
@pytest.mark.parametrize(
    ("spoil", "named"), UNREADABLE, ids=[spoil.__name__ for spoil, _ in UNREADABLE]
)
def test_times_that_mean_no_moment_go_no_further(lab, source, spoil, named):
    before, result = good_then_bad(lab, source, spoil)
    contract = assert_stopped(lab, before, result)
    assert named in contract.metadata["unreadable"].value
    assert "'at'" in contract.description


def test_a_csv_file_that_is_not_utf_8_goes_no_further(lab):
    source = Csv()
    before, _ = good_then_bad(lab, source, empty_window)
    frame = visits(3).assign(visit=lambda f: "münchen-" + f["visit"])
    text = frame.to_csv(index=False)
    (lab.folder / "data.csv").write_bytes(text.encode("latin-1"))
    contract = assert_stopped(lab, before, lab.run("lifecycle", week(WEEK)))
    assert "not utf-8: byte 0xfc" in contract.metadata["unreadable"].value
    assert "data.csv" in contract.description


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_a_source_that_is_gone_goes_no_further(lab, source):
    lab.folder.mkdir(parents=True)
    declare(lab, source)
    contract = assert_stopped(lab, {}, lab.run("lifecycle", week(WEEK)))
    assert "data." in contract.metadata["unreadable"].value


def test_a_key_that_is_there_twice_goes_no_further_without_a_contract(lab):
    frame = visits(3)
    lab.write(duplicate_keys(frame, of_week(frame, WEEK)))
    lab.declare(weekly())
    result = lab.run("lifecycle", week(WEEK))
    assert not result.success
    assert materialized(result) == ["raw_data"], "raw rows may be parts of what the key names"
    contract = checks(result)["validated_features/contract"]
    assert not contract.passed
    assert "unique together (visit)" in contract.description
    assert contract.metadata[f"failing values in {week(WEEK)}"].value == 4


def test_what_is_odd_but_keeps_the_contract_warns(lab):
    frame = visits(3)
    odd = of_week(frame, WEEK)
    frame.loc[odd & (odd.cumsum() % 10 == 0), "minutes"] = None
    half = frame[~odd | (odd.cumsum() <= 200)]
    lab.write(pd.concat([half, half[odd.reindex(half.index)].head(3).assign()]))
    declared = weekly()
    del declared["columns"]["key"]
    lab.declare(declared)
    found = checks(lab.fill(0, 2))
    for name in ("duplicates", "freshness"):
        assert not found[f"raw_data/{name}"].passed
        assert found[f"raw_data/{name}"].severity is dg.AssetCheckSeverity.WARN
    assert found["raw_data/duplicates"].description.endswith(f"3 of 203 rows in {week(2)}")
    assert f"{week(2)} ends with a row of 2026-01-22" in found["raw_data/freshness"].description
    assert not found["validated_features/null_rates"].passed
    assert "minutes 0.0% to 9.9% null" in found["validated_features/null_rates"].description
    alone = checks(lab.run("data", week(WEEK)))["validated_features/null_rates"]
    assert alone.description == found["validated_features/null_rates"].description


def test_what_is_as_before_does_not_warn(lab):
    lab.write(visits(3))
    lab.declare(weekly())
    found = checks(lab.fill(0, 2))
    assert all(check.passed for check in found.values()), found
    assert {"raw_data/duplicates", "raw_data/freshness", "validated_features/null_rates"} <= {
        *found
    }


def test_each_window_of_a_range_is_told_of_itself(lab):
    frame = visits(3).drop(index=range(10))
    lab.write(frame)
    lab.declare(weekly())
    result = lab.fill(0, 2)
    events = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key.path[-1] == "raw_data"
    ]
    assert {e.partition: e.metadata["dagster/row_count"].value for e in events} == {
        week(0): 390,
        week(1): 400,
        week(2): 400,
    }
    first = next(e for e in events if e.partition == week(0))
    assert frame["visit"].iloc[0] in first.metadata["preview"].value
    of = f"every row of {week(0)} to {week(2)} keeps it"
    assert checks(result)["raw_data/contract"].description == of


def test_one_bad_window_of_a_range_keeps_the_others_from_being_stored(lab):
    lab.folder.mkdir(parents=True)
    source = Csv()
    declare(lab, source)
    frame = visits(3)
    source.write(lab.folder, out_of_range(frame, of_week(frame, 1)))
    result = lab.fill(0, 2)
    assert not result.success
    assert materialized(result) == []
    broken = checks(result)["raw_data/contract"].metadata
    assert broken["broken windows"].value == 1
    assert broken[f"failing values in {week(1)}"].value == 5


@pytest.mark.parametrize(
    ("column", "cell"),
    [("minutes", "a while"), ("bought", "maybe"), ("bought", "0.5"), ("bought", "")],
)
def test_a_cell_of_another_type_in_a_csv_file_stops_its_own_window_alone(lab, column, cell):
    lab.folder.mkdir(parents=True)
    declare(lab, Csv())
    frame = visits(3)
    Csv().write(lab.folder, frame)
    assert lab.fill(0, 2).success
    sound = [lab.file("raw_data", week(n)).read_bytes() for n in range(3)]
    spoiled = frame[column].astype(str).astype(object)
    spoiled[405] = cell
    Csv().write(lab.folder, frame.assign(**{column: spoiled}))
    for number in (0, 2):
        result = lab.run("data", week(number))
        assert result.success, errors(result)
        assert lab.file("raw_data", week(number)).read_bytes() == sound[number]
    contract = assert_stopped(lab, {}, lab.run("data", week(1)))
    assert lab.file("raw_data", week(1)).read_bytes() == sound[1]
    assert f"({column})" in contract.description
    told = contract.metadata[f"failures in {week(1)}"].value
    shown = [line[2:-2].split(" | ") for line in told.splitlines() if line.startswith("| 5 ")]
    assert len(shown) == 1, told
    assert (cell or "null") in shown[0]
    assert "TypeError" not in told


def test_a_feature_function_that_knows_the_future_is_stopped(lab):
    lab.write(visits(3))
    declare(lab, Csv(), features=f"{__name__}.knows_the_whole_window")
    result = lab.run("lifecycle", week(WEEK))
    assert not result.success
    assert materialized(result) == ["raw_data"]
    leak = checks(result)["validated_features/no_future_leak"]
    assert not leak.passed
    assert leak.blocking
    assert leak.severity is dg.AssetCheckSeverity.ERROR
    assert leak.metadata["leaking rows"].value == 200
    assert not lab.file("validated_features", week(WEEK)).exists()


def test_a_feature_function_that_knows_the_past_only_is_not_stopped(lab):
    lab.write(visits(3))
    declare(lab, Csv(), features=f"{__name__}.knows_the_past_only")
    result = lab.run("data", week(WEEK))
    assert result.success, errors(result)
    assert checks(result)["validated_features/no_future_leak"].metadata["leaking rows"].value == 0
    assert "patience" in lab.stored("validated_features", week(WEEK))


def test_features_that_break_their_contract_go_no_further(lab):
    lab.write(visits(3))
    declare(lab, Csv(), features=f"{__name__}.forgets_the_target")
    result = lab.run("lifecycle", week(WEEK))
    assert not result.success
    assert materialized(result) == ["raw_data"]
    contract = checks(result)["validated_features/contract"]
    assert not contract.passed
    assert "column exists (bought)" in contract.description


def test_the_type_checks_every_frame_but_those_that_its_step_has_checked():
    spec = ModelSpec.model_validate(
        weekly(contract={"columns": {"bought": {"dtype": "int", "isin": [0, 1]}}})
    )
    kind = frame_type(spec, "raw_data", spec.contract)
    right = visits(1)
    found_right(spec, "raw_data", {week(0): right})
    wrong = right.assign(bought=7)
    assert dg.check_dagster_type(kind, {week(0): right}).success
    assert not dg.check_dagster_type(kind, {week(0): right, week(1): wrong}).success
    assert not dg.check_dagster_type(kind, wrong).success
