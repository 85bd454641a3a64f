"""The prediction log moves into its database by itself."""

import dagster as dg

from mlops_assets.automation.housekeeping import housekeeping_definitions
from mlops_assets.definitions import resources
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.prediction_log.store import LogStore
from mlops_assets_tests.harness import errors, visits, week, weekly


def compacted(lab):
    own = dg.Definitions.merge(housekeeping_definitions(), dg.Definitions(resources=resources()))
    job = own.resolve_job_def("compact_prediction_log")
    return job.execute_in_process(instance=lab.instance, raise_on_error=False)


def test_what_was_answered_is_stored_once_and_read_as_before(lab):
    lab.write(visits(3))
    lab.declare(weekly())
    assert lab.fill(0, 2).success
    with lab.server() as url:
        assert lab.run("lifecycle", week(2)).success
        lab.ask(url, visits(3).tail(50))
        before = PredictionLog(lab.settings.prediction_log).read("shop").records
        for _ in range(2):
            result = compacted(lab)
            assert result.success, errors(result)
    store = LogStore(f"sqlite:///{lab.settings.prediction_log / '.store.db'}")
    (segment,) = store.progress("prediction", "shop").values()
    assert len(list(store.segment_documents("prediction", segment.id, 0))) == len(before) > 50
    store.close()
    assert PredictionLog(lab.settings.prediction_log).read("shop").records == before


def test_a_damaged_segment_fails_the_run_and_is_named(lab):
    folder = lab.settings.prediction_log / "shop"
    folder.mkdir(parents=True)
    (folder / "1-1-000000.log").write_bytes(b"00000000 {}\n")
    result = compacted(lab)
    assert not result.success
    assert "1-1-000000.log, line 1" in errors(result)
    assert (folder / "1-1-000000.log").exists()
