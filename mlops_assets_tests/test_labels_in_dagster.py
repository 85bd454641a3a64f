"""Live predictions in Dagster: labels from clients and from a batch source, log compacted."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from mlops_assets import cli
from mlops_assets.lifecycle.ground_truth import FeedbackLog, label_from
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets_tests.harness import checks, errors, of_week, visits, week, weekly


@pytest.mark.slow
def test_labels_reach_the_monitors_from_every_source(lab, tmp_path):
    frame = visits(4)
    lab.write(frame)
    lab.declare(weekly(labels={"type": "csv", "path": "labels.csv"}))
    assert lab.fill(0, 2).success
    asked = frame[of_week(frame, 3)].reset_index(drop=True)
    with lab.server() as url:
        assert lab.run("lifecycle", week(2)).success
        replies = lab.ask(url, asked)["predictions"]
        assert cli.main(["compact"]) == 0
    answered = pd.DataFrame(replies)["prediction_id"]

    # Of the 400 answers: 20 by prediction id, 20 by unit and time, 200 in a batch, 160 not yet.
    settings = lab.settings
    feedback = FeedbackLog(settings.prediction_log, database=settings.log_database)
    rows = asked.assign(prediction_id=answered).head(40)
    labels = [{"prediction_id": r.prediction_id, "value": r.bought} for r in rows[:20].itertuples()]
    labels += [
        {"unit": r.customer, "at": r.at.isoformat(), "value": r.bought}
        for r in rows[20:].itertuples()
    ]
    now = datetime.now(UTC)
    feedback.append([label_from("shop", one, logged_at=now, source="test") for one in labels])
    feedback.close()
    lab.write(asked[["visit", "at", "bought"]][40:240], "labels.csv")

    # An answer that was an error is logged, and is no prediction.
    log = PredictionLog(settings.prediction_log)
    moment = asked["at"][0].to_pydatetime() + timedelta(seconds=1)
    log.append(
        [
            Record(
                prediction_id=new_prediction_id(), model="shop", version=1, run_id="", unit=None,
                at=moment, logged_at=now, features={}, key={}, answer={}, latency_ms=1, status=500,
            )
        ]
    )  # fmt: skip
    log.close()
    assert cli.main(["compact", "--keep", "0s"]) == 0
    assert not list(settings.prediction_log.glob("shop/*.log"))

    result = lab.run("monitoring", week(3))
    assert result.success, errors(result)
    live = lab.stored("live_predictions", week(3))
    assert len(live) == 400
    joined = live.merge(asked.assign(prediction_id=answered), on="prediction_id")
    known = joined["bought_x"].notna()
    assert known.sum() == 240
    assert (joined["bought_x"] == joined["bought_y"])[known].all()
    assert checks(result)["live_predictions/label_maturity"].description.startswith("240 of 400")
    (event,) = (
        e
        for e in result.get_asset_materialization_events()
        if e.asset_key.path[-1] == "live_predictions"
    )
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["answered an error"].value == 1
    assert metadata["contradicting labels"].value == 0
    assert metadata["ground truth"].value.startswith(
        "20 from feedback by prediction id, 20 from feedback by unit and time, 200 from batch"
    )
