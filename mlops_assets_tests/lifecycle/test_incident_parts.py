"""Parts of the incident page, each against an oracle of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlops_assets.lifecycle.errors import EvidenceError, RolloutError
from mlops_assets.lifecycle.gate.domain import tell_apart
from mlops_assets.lifecycle.gate.evidence import Live
from mlops_assets.lifecycle.incident.alarms import open_alarms
from mlops_assets.lifecycle.incident.columns import histogram
from mlops_assets.lifecycle.incident.mistakes import text
from mlops_assets.lifecycle.incident.report import (
    Event,
    Incident,
    MetricEstimate,
    Rollback,
    Serving,
    Span,
    WindowState,
)
from mlops_assets.lifecycle.incident.resemblance import outside
from mlops_assets.lifecycle.incident.serving import candidates, rollback_now, serving_now
from mlops_assets.lifecycle.incident.sources import Missing, Sources
from mlops_assets.lifecycle.incident.windows import Watched
from mlops_assets.lifecycle.report_html.histograms import sides
from mlops_assets.lifecycle.report_html.incident import incident_page
from mlops_assets.lifecycle.report_html.timeline import LEFT, RIGHT, timeline
from mlops_assets.lifecycle.rollout.journal import Entry
from mlops_assets.lifecycle.rollout.retirement import retire
from mlops_assets.lifecycle.rollout.steps import begin
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.tasks import TASKS, Answered
from mlops_assets_tests.harness import visits, weekly
from mlops_assets_tests.lifecycle.test_report_html import SCRIPT, Page
from mlops_assets_tests.lifecycle.test_rollout import (  # noqa: F401
    DATA,
    MODEL,
    POLICY,
    WHO,
    Shop,
    shop,
    trained,
)

NOW = datetime.now(UTC)


# --- which answers are shown -----------------------------------------------------------------


def shown(task: str, truth: list, answers: list[dict], weights: list | None = None) -> list[int]:
    """Places of the answers that a task calls wrong, the worst first."""
    if task == "ranking":
        labels = np.empty(len(truth), dtype=object)
        labels[:] = truth
    else:
        labels = np.array(truth)
    weighing = np.array(weights or [1.0] * len(truth))
    scored = TASKS[task].scored_truth(labels, weighing)
    _, wrongness = TASKS[task].mistakes(Answered(scored, answers, weighing))
    order = np.argsort(-np.nan_to_num(wrongness, nan=-np.inf), kind="stable")
    return [int(place) for place in order if not np.isnan(wrongness[place])]


def scored(*scores: float) -> list[dict]:
    return [{"prediction": int(s > 0.5), "score": s} for s in scores]


@pytest.mark.parametrize(
    ("task", "truth", "answers", "weights", "worst"),
    [
        ("binary_classification", [0, 1, 0, 0], scored(0.6, 0.9, 0.8, 0.2), None, [2, 0]),
        ("binary_classification", [0, 1, 0], scored(0.1, 0.9, 0.4), None, [2, 0]),
        (
            "multiclass_classification",
            [0, 1, 2],
            [
                {"prediction": 0, "scores": [0.9, 0.1, 0.0]},
                {"prediction": 0, "scores": [0.5, 0.3, 0.2]},
                {"prediction": 1, "scores": [0.1, 0.8, 0.1]},
            ],
            None,
            [2, 1],
        ),
        ("regression", [1.0, 5.0], [{"prediction": 0.0}, {"prediction": 9.0}], None, [1, 0]),
        # One claim in a year at a rate of 0.1, and one in a week: the week surprises by its rate,
        # the year by what it costs.
        ("count_regression", [1, 1], [{"prediction": 0.1}] * 2, [1.0, 0.02], [1, 0]),
        ("count_regression", [3, 1], [{"prediction": 0.1}] * 2, [1.0, 0.02], [0, 1]),
        (
            "ranking",
            [["a"], ["x", "y"], ["z"]],
            [{"prediction": ["a", "b"]}, {"prediction": ["a", "b"]}, {"prediction": ["c", "d"]}],
            None,
            [1, 2],
        ),
    ],
)
def test_the_worst_answers_of_a_task(task, truth, answers, weights, worst):
    assert shown(task, truth, answers, weights) == worst


def test_long_values_are_cut_and_missing_ones_named():
    assert text(None) == text(float("nan")) == text(pd.NaT) == "missing"
    assert text(1 / 3) == "0.333333"
    assert text(np.array(["a", "b"], dtype=object)) == "a, b"
    assert len(text("x" * 10_000)) < 200


# --- histograms ------------------------------------------------------------------------------

ODD = {
    "constant": ([3.0] * 50, [3.0] * 50),
    "all missing": ([None] * 50, [None] * 50),
    "infinite": ([1.0, np.inf] * 25, [1.0, -np.inf] * 25),
    "only infinite": ([np.inf] * 5, [np.inf] * 5),
    "huge": ([1e308, -1e308] * 25, [1e308] * 50),
    "tiny gap": ([1.0, np.nextafter(1.0, 2)] * 25, [1.0] * 50),
    "number turned text": ([1.0, 2.0] * 25, ["1", "two"] * 25),
    "booleans": ([True, False] * 25, [True] * 50),
    "unhashable": ([["a"], ["b"]] * 25, [{"c": 1}] * 50),
    "dates": (pd.date_range("2026-01-01", periods=50).tolist(), [None] * 49 + [pd.Timestamp(0)]),
    "many categories": ([str(n) for n in range(5000)], ["x"] * 50),
    "mixed": ([1, "a", None, 2.5] * 10, [b"x", (1, 2), 3, "é"] * 10),
    "empty": ([], []),
}


@pytest.mark.parametrize("name", ODD)
def test_every_column_is_drawn_or_it_is_told_why_not(name):
    reference, live = (pd.Series(side) for side in ODD[name])
    drawn, why = histogram(reference, live)
    assert (drawn is None) == bool(why)
    if drawn is None:
        return
    assert sum(drawn.reference) == pytest.approx(1)
    assert sum(drawn.live) == pytest.approx(1)
    chart = sides("x", drawn)
    for x, y, width, height, _, _ in chart.bars:
        assert 0 <= x <= x + width <= chart.width
        assert 0 <= y <= y + height <= chart.height


def test_nullable_numbers_with_gaps_are_numbers():
    values = pd.Series([1, None, 3] * 20, dtype="Int64")
    drawn, _ = histogram(values, values.astype("float64"))
    assert drawn.edges
    np.testing.assert_allclose(drawn.reference, drawn.live)


# --- what lies outside -----------------------------------------------------------------------


def test_by_chance_bounds_what_lies_outside_where_nothing_changed():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        draw = rng.normal(size=(150, 4))
        words = rng.choice(list("abcdefgh"), 150, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.01, 0.01])
        frame = pd.DataFrame(draw).rename(columns=str).assign(word=words)
        found.append(outside(frame[:100], frame[100:]))
    share = np.mean([f["outside"] for f in found])
    chance = np.mean([f["by_chance"] for f in found])
    error = np.std([f["outside"] - f["by_chance"] for f in found]) / np.sqrt(len(found))
    assert share <= chance + 3 * error
    # The bound is not idle: of four numbers two extremes each in 101, and a rare word.
    assert chance < 1.5 * share


def test_what_was_never_missing_and_what_is_new_lies_outside():
    reference = pd.DataFrame({"x": [1.0, 2.0, 3.0], "w": ["a", "b", "a"], "n": [None, 1.0, 2.0]})
    live = pd.DataFrame(
        {"x": [2.0, None, 9.0, 1.5], "w": ["a", "b", "c", "a"], "n": [None, 1.0, 2.0, 1.5]}
    )
    found = outside(reference, live)
    assert found["outside"] == 0.5
    assert {c.column: c.share for c in found["columns"]} == {"x": 0.5, "w": 0.25}


def test_without_a_common_column_nothing_is_said():
    assert outside(pd.DataFrame({"x": [1.0]}), pd.DataFrame({"y": [1.0]})) == {}


def test_live_rows_of_one_unit_tell_nothing_of_the_hold_out():
    frame = visits(1, 200)
    live = frame.assign(unit="c1")
    with pytest.raises(EvidenceError, match="1 units on a side tell nothing"):
        tell_apart(ModelSpec.model_validate(weekly()), frame, Live("2026-01-05", live), 0.05)


# --- what serves, and where a rollback goes --------------------------------------------------


def sources(shop: Shop) -> Sources:  # noqa: F811
    return Sources(
        spec=ModelSpec.model_validate(weekly(MODEL)),
        registry=shop.registry,
        journal=shop.journal,
        log=SimpleNamespace(),
        report=lambda asset, window: None,
        frame=lambda asset, window: None,
        windows=lambda asset: [],
        now=datetime.now(UTC) + timedelta(seconds=1),
        dagster_url="http://dagster",
        failed_runs=list,
        alerts=lambda since: [],
    )


def told(shop: Shop) -> tuple[Serving, Rollback]:  # noqa: F811
    read = sources(shop)
    state = serving_now(read, Missing())
    return state, rollback_now(read, state)


def alarms(shop: Shop) -> list[str]:  # noqa: F811
    read = sources(shop)
    return [
        a.words for a in open_alarms(read, serving_now(read, Missing()), []) if a.gravity == "page"
    ]


def canary(shop: Shop, number: int) -> None:  # noqa: F811
    begin(
        shop.registry, shop.journal, shop.judged(number, 1), strategy="canary", share=0.05,
        policy_hash=POLICY, data_version=DATA, who=WHO,
    )  # fmt: skip


@pytest.mark.parametrize("steps", ["", "p", "ppp", "ppr", "pprp"])
def test_what_is_said_of_a_rollback_is_what_it_does(shop, steps):  # noqa: F811
    for step in steps:
        if step == "p":
            shop.promote(shop.register())
        else:
            shop.rollback()
    state, back = told(shop)
    assert state.champion == shop.aliases.get("champion")
    if back.target is None:
        with pytest.raises(RolloutError):
            shop.rollback()
    else:
        assert shop.rollback().version == back.target
        assert shop.aliases["champion"] == back.target


def test_the_first_day_of_the_first_version(shop):  # noqa: F811
    shop.promote(shop.register())
    state, back = told(shop)
    assert (back.target, back.command) == (None, "")
    read = sources(shop)
    for later, late in ((timedelta(0), 0), (timedelta(days=15), 1)):
        then = replace(read, now=read.now + later)
        found = [Watched(w, None, None, None) for w in then.spec.grid.complete(then.now)]
        words = [a.words for a in open_alarms(then, state, found)]
        assert len([w for w in words if "the watch is late" in w]) == late


def test_a_rollback_takes_a_canary_back(shop):  # noqa: F811
    shop.promote(shop.register())
    canary(shop, shop.register())
    state, back = told(shop)
    assert (state.champion, state.challenger, state.share) == (1, 2, 0.05)
    assert back.target == 1
    assert "v2 is on its way" in back.words
    shop.rollback()
    assert told(shop)[0].challenger is None


def test_a_retired_model_an_edited_journal_and_a_moved_alias_are_told(shop):  # noqa: F811
    assert alarms(shop) == ["nothing serves: no version is champion"]
    shop.promote(shop.register())
    assert alarms(shop) == []
    shop.registry.set_alias(MODEL, "champion", shop.register())
    assert "moved by hand" in alarms(shop)[0]
    shop.registry.set_alias(MODEL, "champion", 1)
    retire(shop.registry, shop.journal, MODEL, who="Ada", why="no use")
    state, back = told(shop)
    assert "by Ada: no use" in state.retired
    assert back.target is None
    assert "reinstated" in back.words
    (candidate,) = candidates(sources(shop), state, back.target, [], Missing())
    assert "by Ada" in candidate.retired


def test_a_change_that_was_cut_off_is_told(shop):  # noqa: F811
    shop.promote(shop.register())
    shop.journal.begin(Entry(MODEL, "promote", 2, 1, 1, WHO, "half"))
    state, back = told(shop)
    assert "promote of v2" in state.unfinished
    assert (back.target, state.champion) == (None, 1)
    assert state.unfinished in alarms(shop)


def test_a_version_that_was_taken_back_says_so(shop):  # noqa: F811
    for _ in range(2):
        shop.promote(shop.register())
    shop.rollback()
    state, back = told(shop)
    (candidate,) = candidates(sources(shop), state, back.target, [], Missing())
    assert (candidate.version, candidate.target) == (2, False)
    assert "it got worse" in candidate.taken_back
    assert candidate.files == "verified"


# --- the timeline ----------------------------------------------------------------------------


def estimate(metric: str, value: float) -> MetricEstimate:
    return MetricEstimate(metric=metric, value=value, low=value - 0.1, high=float("inf"))


def incident(**changes) -> Incident:
    """An incident of three windows, whose words are all markup."""
    start = NOW - timedelta(days=21)
    windows = [
        WindowState(
            key=f"{SCRIPT}{n}",
            start=start + timedelta(days=7 * n),
            end=start + timedelta(days=7 * (n + 1)),
            drift=drift,
            drift_share=0.5,
            drifted=[SCRIPT],
            performance="decayed",
            metric="log_loss",
            reason=SCRIPT,
            realised=estimate("log_loss", 0.3 + n),
            hold_out=estimate("log_loss", 0.3),
            kpis=[estimate("kpi", 10.0 * n), estimate("other", float("nan"))],
            advice="refit",
        )
        for n, drift in enumerate(("stable", "drifted", "broken"))
    ]
    values = {
        "model": "shop",
        "task": "binary_classification",
        "description": SCRIPT,
        "owners": [SCRIPT],
        "window": windows[-1].key,
        "since": start,
        "made_at": NOW,
        "serving": Serving(champion=1, since=NOW, who=SCRIPT, why=SCRIPT),
        "alarms": [],
        "advice": None,
        "rollback": Rollback(
            command=SCRIPT,
            job="shop_rollback",
            job_link="http://dagster/x",
            target=None,
            words=SCRIPT,
        ),
        "candidates": [],
        "spans": [Span(version=1, start=start, end=NOW)],
        "events": [
            Event(at=NOW, kind="alert", action=SCRIPT, version=None, why=SCRIPT),
            Event(at=start, kind="deployment", action="promote", version=1, who=SCRIPT, why=SCRIPT),
        ],
        "windows": windows,
        "columns": [],
        "columns_left_out": 0,
        "mistakes": None,
        "resemblance": None,
        "traffic": None,
        "failed_runs": [],
        "missing": {"traffic": [SCRIPT]},
    }
    return Incident(**values | changes)


def test_every_lane_stays_inside_the_picture_and_in_the_order_of_time():
    drawn = timeline(incident())
    assert [lane.title for lane in drawn.lanes] == [
        "serves", "alerts", "share drifted", "log_loss", "kpi", "other",
    ]  # fmt: skip
    for lane in drawn.lanes:
        for bar in lane.bars:
            assert LEFT <= bar.x <= bar.x + bar.width <= RIGHT + 0.1
            assert lane.top <= bar.y <= bar.y + bar.height <= lane.bottom + 0.1
        for mark in lane.marks:
            assert LEFT <= mark.x <= RIGHT
            for y in (mark.y, mark.low, mark.high):
                assert y is None or lane.top <= y <= lane.bottom
        starts = [mark.x for mark in lane.marks if lane.title == "log_loss"]
        assert starts == sorted(starts)
    shares = [bar.height / 64 for bar in drawn.lanes[2].bars]
    assert shares == pytest.approx([0.5, 0.5, 1.0], abs=0.01)


def test_a_page_of_nothing_but_markup_and_one_of_nothing_at_all():
    bare = {"windows": [], "spans": [], "events": [], "missing": {}}
    for found in (incident(), incident(**bare)):
        page = Page(incident_page(found))
        assert not [tag for tag, _ in page.elements if tag in ("script", "img")]
        for tag, attributes in page.elements:
            if tag in ("line", "rect", "circle"):
                numbers = [v for k, v in attributes.items() if k not in ("class",)]
                assert all(np.isfinite(float(v)) for v in numbers), attributes
        assert SCRIPT in page.text
