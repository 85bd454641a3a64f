"""The loop through its public face: materialize, judge, promote, serve, watch, retrain."""

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.lifecycle.fingerprint import file_digest
from mlops_assets_tests.harness import (
    checks,
    errors,
    materialized,
    of_week,
    visits,
    week,
    weekly,
)

LIFECYCLE = ["raw_data", "validated_features", "trained_model", "evaluation_report", "deployment"]


@pytest.fixture
def shop(lab):
    """A weekly model with six weeks of data, filled up to week 2."""
    lab.write(visits(6))
    lab.declare(weekly())
    assert lab.fill(0, 2).success
    return lab


def test_first_model_is_served_and_every_asset_is_there(shop):
    with shop.server() as url:
        result = shop.run("lifecycle", week(2))
        assert result.success, errors(result)
        assert sorted(materialized(result)) == sorted(LIFECYCLE)
        assert all(check.passed for check in checks(result).values())
        assert shop.stored("evaluation_report", week(2)).verdict.verdict == "first_model"
        assert shop.aliases() == {"champion": 1}
        assert url in str(shop.settings.endpoint)


def test_nothing_changed_means_nothing_done(shop):
    with shop.server():
        assert shop.run("lifecycle", week(2)).success
        report = shop.stored("evaluation_report", week(2))
        again = shop.run("lifecycle", week(2))
        assert again.success, errors(again)
    assert shop.stored("evaluation_report", week(2)) == report
    assert [v.version for v in shop.registry.client.search_model_versions("name='shop'")] == [1]
    assert len(shop.journal.entries("shop")) == 2


def whole_pages(raw, window, history):
    """A feature that is whole until a window comes with a null."""
    return raw if raw["pages"].isna().any() else raw.astype({"pages": int})


def test_a_feature_that_changes_its_type_in_the_hold_out_is_told(lab):
    frame = visits(3).assign(pages=lambda f: (f["minutes"] * 2).round())
    frame.loc[of_week(frame, 2).idxmax(), "pages"] = None
    lab.write(frame)
    boosting = {"class": "sklearn.ensemble.HistGradientBoostingClassifier"}
    lab.declare(weekly(estimator=boosting, features=f"{__name__}.whole_pages"))
    assert lab.fill(0, 2).success
    with lab.server():
        found = checks(lab.run("lifecycle", week(2)))
    assert not found["trained_model/signature"].passed
    assert "pages is float64, trained on int64" in found["trained_model/signature"].description
    assert found["trained_model/safe_to_load"].passed


# --- watching live traffic ------------------------------------------------------------------


def test_live_traffic_is_watched_from_the_answer_to_the_verdict(lab):
    frame = visits(5)
    asked = frame.copy()
    # In week 4 other customers come, and interest no longer says who buys.
    late = of_week(frame, 4)
    asked.loc[late, "interest"] = frame.loc[late, "interest"].sample(frac=1, random_state=0) + 1.5
    asked.loc[late, "interest"] = asked.loc[late, "interest"].to_numpy()[::-1]
    lab.write(frame)
    drift = {"multivariate": "domain_classifier"}
    lab.declare(weekly(monitoring={"decay": {"drop": 0.1}, "drift": drift}))
    assert lab.fill(0, 3).success
    with lab.server() as url:
        assert lab.run("lifecycle", week(2)).success
        for number in (3, 4):
            reply = lab.ask(url, asked[of_week(frame, number)])
            assert len(reply["predictions"]) == 400
            assert reply["version"] == 1

    calm = lab.run("monitoring", week(3))
    assert calm.success, errors(calm)
    assert all(check.passed for check in checks(calm).values())
    live = lab.stored("live_predictions", week(3))
    truth = frame[of_week(frame, 3)].reset_index(drop=True)
    # The endpoint's probes during deployment are not among them.
    assert len(live) == 400
    joined = live.merge(truth, on=["interest", "minutes"], suffixes=("", "_true"))
    assert len(joined) == 400
    assert (joined["bought"] == joined["bought_true"]).all()
    assert (joined["unit"] == joined["customer"]).all()
    unmoved = lab.stored("drift_report", week(3))
    assert (unmoved.verdict, unmoved.multivariate.verdict) == ("stable", "stable")
    healthy = lab.stored("performance_report", week(3))
    assert healthy.verdict == "healthy"
    assert healthy.labelled == 400
    page = lab.file("performance_report", week(3)).with_suffix(".html")
    assert healthy.html == str(page)
    assert "400 of 400 labelled answers, 400 of 400 hold-out rows" in page.read_text("utf-8")
    link = shown(calm, "performance_report")["Evidently report"].url
    assert link.endswith(f"/performance/{week(3)}.html")

    early = lab.run("monitoring", week(4))
    assert early.success, errors(early)
    drifted = lab.stored("drift_report", week(4))
    assert (drifted.verdict, drifted.multivariate.verdict) == ("drifted", "drifted")
    assert "interest" in [c.column for c in drifted.columns if c.verdict == "drifted"]
    assert "minutes" not in [c.column for c in drifted.columns if c.verdict == "drifted"]
    assert lab.file("drift_report", week(4)).with_suffix(".html").stat().st_size > 100_000
    assert not checks(early)["drift_report/within_limits"].passed
    due = checks(early)["live_predictions/label_maturity"]
    assert not due.passed
    assert due.description.startswith("0 of 400 answers")
    unknown = lab.stored("performance_report", week(4))
    assert unknown.verdict == "insufficient_data", "no truth yet"
    assert unknown.html is None
    words = shown(early, "performance_report")["Evidently report"].text
    assert words == "none: no prediction has a mature label"

    assert lab.fill(4, 4).success
    later = lab.run("monitoring", week(4))
    assert later.success, errors(later)
    decayed = lab.stored("performance_report", week(4))
    assert decayed.verdict == "decayed"
    assert decayed.labelled == 400
    assert decayed.realised.low > decayed.hold_out.value + 0.1
    assert not checks(later)["performance_report/no_decay"].passed
    assert checks(later)["live_predictions/label_maturity"].passed


def shown(result, asset):
    """Metadata of an asset's one materialization in a run."""
    (event,) = [
        e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == asset
    ]
    return event.step_materialization_data.materialization.metadata


def test_a_window_without_traffic_is_told_and_does_not_count_as_stable(shop):
    with shop.server():
        assert shop.run("lifecycle", week(2)).success
    result = shop.run("monitoring", week(2))
    assert result.success, errors(result)
    assert not checks(result)["live_predictions/log_complete"].passed
    assert not checks(result)["drift_report/within_limits"].passed
    assert shop.stored("drift_report", week(2)).verdict == "insufficient_data"
    assert shop.stored("performance_report", week(2)).verdict == "insufficient_data"


# --- what is stale --------------------------------------------------------------------------


def data_version(lab, asset, window=None):
    """The data version of an asset's newest materialization, as Dagster has it."""
    records = lab.instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(["shop", asset]),
            asset_partitions=[window] if window else None,
        ),
        limit=1,
    ).records
    return records[0].asset_materialization.tags["dagster/data_version"]


def test_changed_data_have_another_version_and_train_another_model(shop):
    with shop.server():
        assert shop.run("lifecycle", week(2)).success
        # On its own: all windows of one run over a range have the range's data version.
        assert shop.fill(1, 1).success
        before = {a: data_version(shop, a, week(1)) for a in LIFECYCLE[:2]}
        model = data_version(shop, "trained_model", week(2))

        assert shop.fill(1, 1).success
        assert {a: data_version(shop, a, week(1)) for a in LIFECYCLE[:2]} == before

        frame = visits(6)
        flipped = of_week(frame, 1) & (frame["interest"].abs() < 0.2)
        shop.write(frame.assign(bought=frame["bought"].where(~flipped, 1 - frame["bought"])))
        assert shop.fill(1, 1).success
        assert all(data_version(shop, a, week(1)) != before[a] for a in LIFECYCLE[:2])
        again = shop.run("lifecycle", week(2))
    assert again.success, errors(again)
    assert data_version(shop, "trained_model", week(2)) != model
    report = shop.stored("evaluation_report", week(2))
    assert report.verdict.challenger_version == 2
    assert report.verdict.champion_version == 1
    trained = shop.stored("trained_model", week(2))
    assert shop.registry.version("shop", 1).tags["data_version"] != trained.data_version


FEATURES = """
def build(raw, window, history):
    return raw.assign(eager=raw["interest"] * {factor})
"""


def test_a_change_in_the_file_of_a_feature_function_makes_its_features_stale(
    lab, tmp_path, monkeypatch
):
    module = tmp_path / "eagerness.py"
    module.write_text(FEATURES.format(factor=2), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    lab.write(visits(1))
    lab.declare(weekly(features="eagerness.build"))

    def code_versions():
        # A code location is loaded by a new process, which has read no file before.
        file_digest.cache_clear()
        graph = lab.definitions.resolve_asset_graph()
        return {k.path[-1]: graph.get(k).code_version for k in graph.get_all_asset_keys()}

    before = code_versions()
    assert code_versions() == before
    module.write_text(FEATURES.format(factor=3), "utf-8")
    after = code_versions()
    assert {asset for asset in before if after[asset] != before[asset]} == {"validated_features"}


# --- without windows ------------------------------------------------------------------------


def test_a_fixed_data_set_goes_through_the_loop_without_windows(lab):
    frame = visits(3)
    lab.write(frame)
    lab.declare(weekly(cadence="none", start=None, training={"hold_out": 0.3}))
    with lab.server() as url:
        first = lab.run("lifecycle")
        assert first.success, errors(first)
        assert sorted(materialized(first)) == sorted(LIFECYCLE)
        again = lab.run("lifecycle")
        assert again.success, errors(again)
        assert lab.aliases() == {"champion": 1}
        reply = lab.ask(url, frame.head(300))
        assert len(reply["predictions"]) == 300
    report = lab.stored("evaluation_report")
    trained = lab.stored("trained_model")
    assert report.verdict.verdict == "first_model"
    assert report.hold_out_rows + trained.rows == len(frame)
    assert all(unseen.shared_rows == 0 for unseen in report.unseen)
    watched = lab.run("monitoring")
    assert watched.success, errors(watched)
    assert lab.stored("drift_report").verdict == "stable"
    assert lab.stored("performance_report").labelled == 300


def test_a_fixed_data_set_that_grew_trains_and_judges_again(lab):
    lab.write(visits(3))
    lab.declare(weekly(cadence="none", start=None, training={"hold_out": 0.3}))
    with lab.server():
        assert lab.run("lifecycle").success
        more = visits(4, seed=1).assign(visit=lambda f: "later " + f["visit"])
        lab.write(pd.concat([visits(3), more], ignore_index=True))
        grown = lab.run("lifecycle")
    assert grown.success, errors(grown)
    verdict = lab.stored("evaluation_report").verdict
    assert verdict.challenger_version == 2
    assert verdict.champion_version == 1
    assert lab.aliases() == {"champion": 2, "previous": 1}


# --- the server answers as the model does ---------------------------------------------------


def test_a_boosted_model_answers_its_probe_to_the_last_digit(lab):
    lab.write(visits(3))
    boosted = "sklearn.ensemble.HistGradientBoostingClassifier"
    lab.declare(weekly(estimator={"class": boosted, "params": {"max_iter": 20}}))
    assert lab.fill(0, 2).success
    with lab.server():
        result = lab.run("lifecycle", week(2))
    assert checks(result)["deployment/endpoint"].passed, checks(result)["deployment/endpoint"]
