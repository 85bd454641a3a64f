"""Evidently's page on performance: scikit-learn's numbers, nothing that a name can do."""

import numpy as np
import pytest

from mlops_assets.lifecycle.performance_html import performance_html, snapshot
from mlops_assets.lifecycle.reports import PerformanceReport
from mlops_assets.lifecycle.tasks import TASKS, Answered

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
    scores = rng.dirichlet([1] * classes, size) + np.eye(classes)[truth]
    scores /= scores.sum(axis=1, keepdims=True)
    return rows(truth, [{"prediction": int(s.argmax()), "scores": s.tolist()} for s in scores])


def amounts(seed=0, size=ROWS):
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 3, size)
    return rows(truth, [{"prediction": t + e} for t, e in zip(truth, rng.normal(size=size))])


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


def numbers(task: str, live: Answered, hold_out: Answered | None = None) -> dict[str, object]:
    """What Evidently found in the window, by the class of its metric."""
    found = snapshot(TASKS[task], live, hold_out).metric_results.values()
    kinds = {r.metric_value_location.metric.params["type"].split(":")[-1]: r for r in found}
    return {
        kind: getattr(r, "value", None) if hasattr(r, "value") else getattr(r, "mean", r)
        for kind, r in kinds.items()
    }


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("against", [True, False])
def test_each_task_has_a_page(task, against, tmp_path):
    page = tmp_path / "page.html"
    live, hold_out = CASES[task](0), CASES[task](1)
    performance_html(report("a<b>"), TASKS[task], live, hold_out if against else None, page)
    text = page.read_text("utf-8")
    assert len(text) > 1_000_000
    assert f"<p>a&lt;b&gt; v3, 2026-01-05: {len(live.truth)} of {len(live.truth)} labelled" in text
    assert ("hold-out rows" in text) == against
