"""Evidently's page on performance: scikit-learn's numbers, nothing that a name can do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from mlops_assets.lifecycle.columns import Columns
from mlops_assets.lifecycle.decay.html import NotDrawnError, performance_html, snapshot
from mlops_assets.lifecycle.reports import PerformanceReport
from mlops_assets.lifecycle.tasks import TASKS, Answered
from mlops_assets.lifecycle.training import hold_out_answers

ROWS = 600
ATTACK = "</script><script>alert(1)</script>"


def report(model="shop") -> PerformanceReport:
    return PerformanceReport(
        model=model,
        window="2026-01-05",
        version=3,
        metric="any",
        predictions=ROWS,
        labelled=ROWS,
        realised=None,
        hold_out=None,
        drop=0.0,
        verdict="healthy",
        created_at="2026-02-01T00:00:00Z",
    )


def rows(truth, answers, weights=None) -> Answered:
    return Answered(truth, answers, np.ones(len(truth)) if weights is None else weights)


def binary(seed=0, size=ROWS):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size)
    scores = 1 / (1 + np.exp(-rng.normal(2 * truth - 1, 1)))
    return rows(truth, [{"prediction": int(s > 0.5), "score": s} for s in scores.tolist()])


def several(seed=0, classes=3, present=3, size=ROWS):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, present, size)
    skill = 0.3 * np.eye(max(classes, present))[truth, :classes]
    scores = rng.dirichlet([1] * classes, size) + skill
    scores /= scores.sum(axis=1, keepdims=True)
    return rows(truth, [{"prediction": int(s.argmax()), "scores": s.tolist()} for s in scores])


def amounts(seed=0, size=ROWS):
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 3, size)
    return rows(truth, [{"prediction": said} for said in truth + rng.normal(size=size)])


def counts(seed=0, size=ROWS):
    rng = np.random.default_rng(seed)
    exposure, rate = rng.uniform(0.1, 1, size), rng.uniform(0.5, 2, size)
    answers = [{"prediction": r} for r in rate.tolist()]
    return rows(rng.poisson(rate * exposure) / exposure, answers, exposure)


def ranked(seed=0, size=200, name="i{}"):
    rng = np.random.default_rng(seed)
    shown = [rng.permutation(40)[:10] for _ in range(size)]
    truth = np.empty(size, dtype=object)
    truth[:] = [[name.format(i) for i in rng.permutation(40)[:3]] for _ in range(size)]
    answers = [{"prediction": [name.format(i) for i in s], "scores": [0.5] * 10} for s in shown]
    return rows(truth, answers)


CASES = {
    "binary_classification": binary,
    "multiclass_classification": several,
    "regression": amounts,
    "count_regression": counts,
    "ranking": ranked,
}


def metrics(task: str, live: Answered, hold_out: Answered | None = None) -> dict[str, Any]:
    """What Evidently found in the window, by the name of its metric."""
    found = {}
    for result in snapshot(TASKS[task], live, hold_out).metric_results.values():
        name = result.metric_value_location.metric.params["type"].split(":")[-1]
        if hasattr(result, "mean"):
            found[name] = result.mean.value
        elif hasattr(result, "values"):
            found[name] = {str(label): v.value for label, v in result.values.items()}
        else:
            found[name] = result.value
    return found


def page_of(task: str, live: Answered, hold_out: Answered | None, folder: Path, name="shop") -> str:
    page = folder / "page.html"
    performance_html(report(name), TASKS[task], live, hold_out, page)
    return page.read_text("utf-8")


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("against", [True, False])
def test_each_task_has_a_page(task, against, tmp_path):
    live, hold_out = CASES[task](0), CASES[task](1)
    text = page_of(task, live, hold_out if against else None, tmp_path)
    assert len(text) > 1_000_000
    assert f"<p>shop v3, 2026-01-05: {len(live.truth)} of {len(live.truth)} labelled" in text
    assert ("hold-out rows" in text) == against


def test_binary_numbers_are_scikit_learns():
    live = binary()
    score = [a["score"] for a in live.answers]
    said = [a["prediction"] for a in live.answers]
    found = metrics("binary_classification", live, binary(1))
    assert found["RocAuc"] == pytest.approx(sk.roc_auc_score(live.truth, score))
    assert found["LogLoss"] == pytest.approx(sk.log_loss(live.truth, score))
    assert found["Precision"] == pytest.approx(sk.precision_score(live.truth, said))
    assert found["Recall"] == pytest.approx(sk.recall_score(live.truth, said))
    assert found["F1Score"] == pytest.approx(sk.f1_score(live.truth, said))


def test_multiclass_numbers_are_scikit_learns():
    live = several()
    scores = np.array([a["scores"] for a in live.answers])
    said = scores.argmax(axis=1)
    found = metrics("multiclass_classification", live, several(1))
    assert found["Accuracy"] == pytest.approx(sk.accuracy_score(live.truth, said))
    assert found["Accuracy"] < 0.95
    assert found["F1Score"] == pytest.approx(sk.f1_score(live.truth, said, average="macro"))
    assert found["LogLoss"] == pytest.approx(sk.log_loss(live.truth, scores))
    by_label = sk.recall_score(live.truth, said, average=None)
    assert found["RecallByLabel"] == pytest.approx(dict(zip("012", by_label, strict=True)))


@pytest.mark.parametrize(
    ("classes", "present", "with_scores"),
    [(2, 2, True), (4, 3, False), (10, 10, True), (11, 11, False), (3, 4, False)],
)
def test_scores_of_classes_are_drawn_where_evidently_can(classes, present, with_scores, tmp_path):
    live = several(0, classes, present)
    assert ("LogLoss" in metrics("multiclass_classification", live)) == with_scores
    assert page_of("multiclass_classification", live, live, tmp_path)


def test_regression_numbers_are_scikit_learns():
    live = amounts()
    said = [a["prediction"] for a in live.answers]
    found = metrics("regression", live, amounts(1))
    assert found["MAE"] == pytest.approx(sk.mean_absolute_error(live.truth, said))
    assert found["RMSE"] == pytest.approx(sk.root_mean_squared_error(live.truth, said))
    assert found["R2Score"] == pytest.approx(sk.r2_score(live.truth, said))
    positive = amounts(1)
    said = [a["prediction"] for a in positive.answers]
    mape = sk.mean_absolute_percentage_error(positive.truth, said)
    assert metrics("regression", positive)["MAPE"] == pytest.approx(100 * mape)


def test_counts_are_drawn_as_counts_not_as_frequencies():
    live = counts()
    claims = live.truth * live.weights
    expected = np.array([a["prediction"] for a in live.answers]) * live.weights
    found = metrics("count_regression", live)
    assert found["MAE"] == pytest.approx(sk.mean_absolute_error(claims, expected))
    assert found["R2Score"] == pytest.approx(sk.r2_score(claims, expected))


def test_ranking_numbers_are_those_of_the_lists():
    live = ranked()
    hits = np.array(
        [
            [item in set(t) for item in a["prediction"]]
            for t, a in zip(live.truth, live.answers, strict=True)
        ]
    )
    # The 10 shown and, below them, the missed: scikit-learn's ideal order needs both.
    places = np.tile(np.arange(13, 0, -1), (len(hits), 1))
    missed = np.arange(3) < (3 - hits.sum(axis=1))[:, None]
    ndcg = sk.ndcg_score(np.hstack([hits, missed]), places, k=10)
    found = metrics("ranking", live)
    assert found["NDCG"]["value"].iloc[-1] == pytest.approx(ndcg)
    assert found["HitRate"]["value"].iloc[-1] == pytest.approx(hits.any(axis=1).mean())
    assert found["RecallTopK"]["value"].iloc[-1] == pytest.approx((hits.sum(axis=1) / 3).mean())


def test_mape_is_disowned_where_evidently_has_it_wrong(tmp_path):
    positive = amounts(1)
    negative = rows(-positive.truth, positive.answers)
    assert "MAPE is not to be read" in page_of("regression", negative, None, tmp_path)
    assert "MAPE is not to be read" in page_of("regression", positive, negative, tmp_path)
    assert "MAPE is not to be read" not in page_of("regression", positive, None, tmp_path)


class Popular:
    """Recommends the ten items that were taken most."""

    def __init__(self, seen: pd.DataFrame):
        self.top = seen["item"].value_counts().index.to_numpy()[:10]

    def recommend(self, units, k):
        return np.tile(self.top[:k], (len(units), 1)), np.ones((len(units), k))


def test_a_recommenders_hold_out_is_what_units_took_up_anew(tmp_path):
    rng = np.random.default_rng(0)
    taken = pd.DataFrame({"unit": rng.integers(0, 90, 900), "item": rng.zipf(1.5, 900) % 50})
    seen, unseen = taken[:600], taken[600:]
    spec = SimpleNamespace(task_type=TASKS["ranking"], columns=Columns(unit="unit", item="item"))
    data = SimpleNamespace(seen=seen, unseen=unseen)
    kept = hold_out_answers(spec, Popular(seen), data)
    had = seen.groupby("unit")["item"].agg(set).to_dict()
    new = {u: {*items} - had.get(u, set()) for u, items in unseen.groupby("unit")["item"]}
    assert [{*items} for items in kept.truth] == [new[u] for u in sorted(new) if new[u]]
    assert f"{len(kept.truth)} hold-out rows" in page_of("ranking", ranked(), kept, tmp_path)


def test_crafted_names_stay_text(tmp_path):
    live = ranked(name="i{}" + ATTACK)
    text = page_of("ranking", live, live, tmp_path, name=ATTACK)
    assert "script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert r"\uff1cscript\uff1ealert(1)" in text


def test_page_is_drawn_on_the_size_that_it_states(tmp_path):
    text = page_of("ranking", ranked(size=1_200), ranked(size=100), tmp_path)
    assert "1000 of 1200 labelled answers, 100 of 100 hold-out rows" in text


@pytest.mark.parametrize(
    ("task", "live", "reason"),
    [
        ("binary_classification", rows(np.ones(5, int), binary(size=5).answers), "only the label"),
        ("regression", amounts(size=0), "no rows"),
        ("regression", rows(np.zeros(5), amounts(size=5).answers), "every label is 0"),
        ("regression", rows(np.array([1.0, np.nan]), amounts(size=2).answers), "NaN or infinity"),
        ("regression", rows(np.array([1e308, -1e308, 3]), amounts(size=3).answers), "Evidently"),
    ],
)  # fmt: skip
def test_what_can_not_be_drawn_says_why(task, live, reason, tmp_path):
    with pytest.raises(NotDrawnError, match=reason):
        page_of(task, live, None, tmp_path)
    assert list(tmp_path.iterdir()) == []
