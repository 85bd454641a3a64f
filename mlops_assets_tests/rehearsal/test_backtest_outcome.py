"""What a backtest makes of the runs that a replay left behind."""

from datetime import UTC, datetime

import dagster as dg
import yaml

from mlops_assets.assets.keys import TRIGGER_TAG
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.outcome import outcome
from mlops_assets.rehearsal.runs import run_job
from mlops_assets.rehearsal.state import Served, State
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
