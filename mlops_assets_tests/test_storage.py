"""Storage: any fsspec URL, and never half a file."""

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.definitions import resources
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets_tests.harness import errors, visits, week, weekly

FEATURES = dg.AssetKey(["shop", "validated_features"])


def test_a_lifecycle_runs_on_storage_that_is_no_folder(lab, monkeypatch, home):
    monkeypatch.setenv("MLOPS_STORAGE_URL", "memory://mlops-test")
    lab.write(visits(3))
    lab.declare(weekly())
    with lab.server():
        assert lab.fill(0, 2).success
        result = lab.run("lifecycle", week(2))
    assert result.success, errors(result)
    assert lab.stored("evaluation_report", week(2)).verdict.accepted
    assert not (home / "storage").exists()


def test_a_range_of_windows_is_one_file_each(lab):
    lab.write(visits(3))
    lab.declare(weekly())
    assert lab.fill(0, 2).success
    stored = resources()["frames"]
    for number in range(3):
        frame = stored.load(FEATURES, week(number))
        assert frame["at"].dt.strftime("%Y-%m-%d").min() == week(number)
    assert stored.newest("shop", "validated_features")[0] == week(2)


def test_a_failed_write_leaves_the_file_before_and_nothing_else(lab):
    stored = resources()["frames"]
    stored.write(stored.path(FEATURES, "w"), pd.DataFrame({"x": [1]}))
    unwritable = pd.DataFrame({"x": [object()]})
    with pytest.raises(Exception, match="object"):
        stored.write(stored.path(FEATURES, "w"), unwritable)
    assert stored.load(FEATURES, "w")["x"].tolist() == [1]
    assert [p.name for p in stored.path(FEATURES, "w").parent.iterdir()] == ["w.parquet"]


def test_a_window_that_was_never_materialized_is_named(lab):
    with pytest.raises(
        EvidenceError, match=r"shop/validated_features, window 2026-01-05.*backfill"
    ):
        resources()["frames"].load(FEATURES, "2026-01-05")
