"""Recalibration through its public face: a run's tag, the gate, the server, the record."""

import numpy as np
import pytest

from mlops_assets.assets.keys import ADVICE_TAG, TRAINED_MODEL
from mlops_assets.components.code_versions import code_versions
from mlops_assets.lifecycle.reproduce import reproduce
from mlops_assets_tests.harness import checks, errors, of_week, visits, week, weekly

WEEKS = 7
ROWS = 800
STAGES = ["trained_model", "evaluation_report", "deployment"]
RECALIBRATE = {ADVICE_TAG: "recalibrate"}


def rarer_from(number):
    """Visits whose buyers become rarer: from a week on, the log-odds of all are 1.5 lower."""
    frame = visits(WEEKS, rows=ROWS)
    late = np.logical_or.reduce([of_week(frame, n) for n in range(number, WEEKS)])
    chance = 1 / (1 + np.exp(-(2 * frame["interest"] - 1.5 * late)))
    bought = np.random.default_rng(1).random(len(frame)) < chance
    return frame.assign(bought=bought.astype(int))


@pytest.fixture
def shop(lab):
    """Version 1 serves, trained and judged before buyers became rarer in week 3."""
    lab.write(rarer_from(3))
    lab.declare(weekly(monitoring__decay={"drop": 0.03}))
    assert lab.fill(0, WEEKS - 1).success
    with lab.server() as lab.url:
        first = lab.run("lifecycle", week(2), only=STAGES)
        assert first.success, errors(first)
        yield lab


def metadata(result, asset):
    (event,) = [
        e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == asset
    ]
    return event.step_materialization_data.materialization.metadata


def trains(lab, number, **tags):
    return lab.run("lifecycle", week(number), only=["trained_model"], **tags)


def metrics(report, side):
    return {e.metric: e.value for e in getattr(report, side)}


@pytest.mark.slow
def test_a_recalibrated_champion_passes_the_gate_and_serves(shop):
    asked = rarer_from(3)[lambda f: of_week(f, 3)]
    shop.ask(shop.url, asked)
    watched = shop.run("monitoring", week(3))
    assert watched.success, errors(watched)
    advice = shop.stored("advice", week(3))
    assert advice.action == "recalibrate", advice
    assert "the level is off" in advice.reasons[0]
    assert not checks(watched)["advice/nothing_to_do"].passed
    assert metadata(watched, "advice")["action"].value == "recalibrate"

    result = shop.run("lifecycle", week(4), only=STAGES, **RECALIBRATE)
    assert result.success, errors(result)
    assert all(check.passed for check in checks(result).values())
    report = shop.stored("evaluation_report", week(4))
    assert report.verdict.verdict == "better"
    ours, theirs = metrics(report, "challenger"), metrics(report, "champion")
    assert ours["log_loss"] < theirs["log_loss"] - 0.05
    assert ours["roc_auc"] == pytest.approx(theirs["roc_auc"], abs=1e-12)
    assert shop.aliases() == {"champion": 2, "previous": 1}

    trained = shop.stored("trained_model", week(4))
    one = shop.registry.version("shop", 1)
    assert trained.params["recalibrates"] == "1"
    assert trained.params["recalibrates.digest"] == one.digest
    assert trained.training_windows == [week(3)]
    assert {u.version: u.training_rows for u in report.unseen} == {1: 2 * ROWS, 2: 3 * ROWS}

    # What it answers over the wire is at the level of the rarer buyers.
    now = rarer_from(3)[lambda f: of_week(f, 5)]
    reply = shop.ask(shop.url, now)
    assert reply["version"] == 2
    scores = [p["score"] for p in reply["predictions"]]
    assert np.mean(scores) == pytest.approx(now["bought"].mean(), abs=0.05)

    # The same again is found, not made; its record is enough to make it elsewhere.
    again = trains(shop, 4, **RECALIBRATE)
    assert again.success, errors(again)
    assert len(shop.registry.client.search_model_versions("name='shop'")) == 2
    made = reproduced(shop, 2)
    assert (made.outcome, made.changed) == ("same", ()), made

    # Recalibrated once more it is version 1 in another wrapper, never a wrapper in a wrapper.
    later = trains(shop, 5, **RECALIBRATE)
    third = shop.stored("trained_model", week(5))
    assert third.version == 3, errors(later)
    assert third.params["recalibrates"] == "1"
    assert third.training_windows == [week(4)]

    # The next ordinary training starts from the declared estimator.
    ordinary = trains(shop, 6)
    fitted = shop.stored("trained_model", week(6))
    assert fitted.version == 4, errors(ordinary)
    assert fitted.params["estimator"] == "sklearn.linear_model.LogisticRegression"
    assert "recalibrates" not in fitted.params


def reproduced(lab, number):
    return reproduce(
        lab.spec,
        lab.registry,
        lab.registry.version("shop", number),
        lambda window: lab.stored("validated_features", window),
        code_version=code_versions(lab.spec)[TRAINED_MODEL],
        commit=lab.stored("trained_model", week(4)).git_commit,
    )


def test_what_can_not_be_recalibrated_is_refused(shop):
    same = trains(shop, 2, **RECALIBRATE)
    assert not same.success
    assert "shop v1 can't be recalibrated" in errors(same)
    assert "0 in 0 windows" in errors(same)
    other = trains(shop, 4, **{ADVICE_TAG: "recalibrte"})
    assert not other.success
    assert "'recalibrte': nothing is trained on that" in errors(other)
    assert shop.aliases() == {"champion": 1}
