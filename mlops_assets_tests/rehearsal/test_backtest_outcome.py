"""Until when a replay is played, and what is made of the runs that it left behind."""

from datetime import UTC, datetime

import dagster as dg
import pytest
import yaml

from mlops_assets.assets.keys import TRIGGER_TAG
from mlops_assets.lifecycle.spec import ModelSpec, load_specs
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.outcome import outcome
from mlops_assets.rehearsal.runs import run_job
from mlops_assets.rehearsal.state import Served, State
from mlops_assets.rehearsal.world import span_of
from mlops_assets_tests.harness import week, weekly


def test_each_retrain_that_fails_is_counted_as_one_that_failed(tmp_path, home):
    document = {"type": "mlops_assets.ModelLifecycle", "attributes": weekly()}
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "defs.yaml").write_text(yaml.safe_dump(document), "utf-8")
    spec, folder = load_specs(tmp_path / "shop")["shop"]
    copy = Copy(tmp_path / "home", tmp_path / "world", tmp_path / "artifacts", spec, folder)
    copy.make()
    moments = [datetime(2026, 1, day, 3, tzinfo=UTC) for day in (19, 20)]
    tags, only = {TRIGGER_TAG: "schedule"}, [dg.AssetKey(["shop", "trained_model"])]
    with copy.instance() as instance:
        for now in moments:  # there are no features to train on
            definitions = copy.definitions(now)
            run_job(definitions, instance, "shop_lifecycle", now, tags, window=week(1), only=only)
    state = State(until=moments[1], served=[Served(since=moments[0], version=1)], done=True)
    found = outcome("declared", copy, state, [], {})
    assert (found.asked, found.failed, found.trained) == (2, 2, 0)


@pytest.mark.parametrize(
    ("cadence", "delay", "last", "reported"),
    [
        # Complete on 2 October 2026, and the next watch is 30 days and half an hour later.
        ("monthly", "366d", "2025-09-01", "2026-11-01T00:30"),
        ("monthly", "0d", "2025-08-01", "2025-09-01T00:30"),
        ("weekly", "7d", "2026-03-02", "2026-03-16T00:30"),
        ("weekly", "8d", "2026-03-02", "2026-03-23T00:30"),
        ("daily", "1h", "2026-02-02", "2026-02-04T00:30"),
    ],
)
def test_it_is_played_until_the_last_labels_are_reported_on(cadence, delay, last, reported):
    start = {"monthly": "2024-01-01"}.get(cadence, "2026-01-05")
    changes = {"cadence": cadence, "start": start, "columns__label_delay": delay}
    spec = ModelSpec.model_validate(weekly(**changes))
    span = span_of(spec, last, last, datetime(2026, 11, 28, tzinfo=UTC))
    assert span.end == datetime.fromisoformat(f"{reported}+00:00")
