"""A window as Parquet: every record once, wherever it is."""

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.prediction_log.compaction import compact
from mlops_assets.lifecycle.prediction_log.export import export
from mlops_assets.lifecycle.prediction_log.reading import default_database
from mlops_assets.lifecycle.prediction_log.store import LogStore
from mlops_assets_tests.lifecycle.test_prediction_log import HOUR, NOON, record, segments


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path / "log")
    yield log
    log.close()


def test_window_from_database_and_segments(log, tmp_path):
    written = [record(NOON + n * HOUR, unit="ü\ud800" if n else None) for n in range(6)]
    log.append(written[:3])
    compact(log, LogStore(default_database(log.folder)), now=datetime.now(UTC) + timedelta(days=2))
    log.append(written[3:])
    file = tmp_path / "exports" / "window.parquet"
    for _ in range(2):
        assert export(log, "fraud", str(file), NOON + HOUR, NOON + 5 * HOUR) == 4
    assert [f.name for f in file.parent.iterdir()] == [file.name]
    frame = pd.read_parquet(file).sort_values("at")
    assert frame["prediction_id"].tolist() == [r.prediction_id for r in written[1:5]]
    assert frame["at"].tolist() == [r.at for r in written[1:5]]
    assert set(frame["unit"]) == {"ü?"}
    assert json.loads(frame["features"].iloc[0]) == written[1].features
    assert frame["version"].dtype == "int64"


def test_empty_window_keeps_its_columns(log, tmp_path):
    assert export(log, "fraud", str(tmp_path / "none.parquet")) == 0
    assert "latency_ms" in pd.read_parquet(tmp_path / "none.parquet").columns


def test_damage_leaves_no_file(log, tmp_path):
    log.append([record()])
    (file,) = segments(log)
    file.write_bytes(file.read_bytes().replace(b"0.75", b"0.76"))
    with pytest.raises(EvidenceError, match="line 1"):
        export(log, "fraud", str(tmp_path / "exports" / "bad.parquet"))
    assert list((tmp_path / "exports").iterdir()) == []
