"""The advisor: its table row by row, units that are mistaken, worlds that only look like it."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from mlops_assets.lifecycle.advice.advise import advise
from mlops_assets.lifecycle.advice.units import mistaken
from mlops_assets.lifecycle.decay.report import (
    Assumption,
    Calibration,
    Discrimination,
    EstimatedPerformance,
)
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.report import ColumnDrift, ColumnSide, DriftReport
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.reports import PerformanceReport
from mlops_assets.lifecycle.spec import ModelSpec

WINDOW = "2026-01-12"
# The window ends on the 19th, its labels are due on the 26th.
LATE, DUE = datetime(2026, 1, 20, tzinfo=UTC), datetime(2026, 1, 27, tzinfo=UTC)
CREATED = datetime(2026, 1, 20, 8, tzinfo=UTC)


def spec(**changes) -> ModelSpec:
    declared = {
        "name": "model",
        "task": "binary_classification",
        "cadence": "weekly",
        "start": "2026-01-05",
        "source": {"type": "csv", "path": "rows.csv"},
        "columns": {"target": "y", "time": "at", "key": ["id"], "label_delay": "7d"},
        "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
        "gate": {"metric": "log_loss", "margin": 0.01},
        "monitoring": {"decay": {"drop": 0.05}},
    }
    return ModelSpec(**declared | changes)


# --- reports, as short as they can be ---------------------------------------------------------


def side(values=None, **known) -> ColumnSide:
    if values is None:
        return ColumnSide(**{"rows": 5000, "missing": 0.0} | known)
    there = np.asarray(values, dtype=float)
    there = there[~np.isnan(there)]
    moments = {
        "rows": len(values),
        "missing": 1 - len(there) / len(values),
        "mean": there.mean(),
        "sd": there.std(),
        "minimum": there.min(),
        "median": np.median(there),
        "maximum": there.max(),
    }
    return ColumnSide(**moments | known)


def column(name, verdict="stable", kind="numeric", role="feature", **more) -> ColumnDrift:
    value = {"drifted": 0.3, "stable": 0.05}.get(verdict)
    measured = {
        "statistic": "wasserstein" if value else "none",
        "value": value,
        "threshold": value and 0.1,
    }
    return ColumnDrift(column=name, verdict=verdict, kind=kind, role=role, **measured | more)


CALM = [column(name) for name in "abcde"]


def prediction(verdict="drifted") -> ColumnDrift:
    return column("prediction", verdict, role="prediction")


def drift(*columns, rows=5000, **more) -> DriftReport:
    verdicts = {c.verdict for c in columns}
    order = ("broken", "drifted", "stable", "insufficient_data")
    verdict = next((v for v in order if v in verdicts), "insufficient_data")
    moved = [c for c in columns if c.verdict == "drifted"]
    known = {
        "model": "model",
        "window": WINDOW,
        "version": 3,
        "rows": rows,
        "reference_rows": 5000,
        "columns": list(columns),
        "share": len(moved) / max(len(columns), 1),
        "drifted": verdict == "drifted",
        "prediction_drifted": any(c.role == "prediction" for c in moved),
        "verdict": verdict,
        "false_alarms": 0.01,
        "html": None,
        "created_at": CREATED,
    }
    return DriftReport(**known | more)


def metric(value, name="log_loss") -> MetricEstimate:
    return MetricEstimate(metric=name, value=value, low=value - 0.01, high=value + 0.01)


def performance(verdict="healthy", **more) -> PerformanceReport:
    known = verdict != "insufficient_data"
    reason = {"healthy": "log_loss 0.41, limit 0.45", "decayed": "log_loss 0.61, limit 0.45"}
    told = {
        "model": "model",
        "window": WINDOW,
        "version": 3,
        "metric": "log_loss",
        "predictions": 5000,
        "labelled": 5000 if known else 0,
        "realised": metric(0.41) if known else None,
        "hold_out": metric(0.40),
        "drop": 0.05,
        "verdict": verdict,
        "reason": reason.get(verdict, "no prediction has a mature label"),
        "created_at": CREATED,
    }
    return PerformanceReport(**told | more)


def order(lost: bool) -> Discrimination:
    value = 0.6 if lost else 0.8
    return Discrimination(
        realised=metric(value, "roc_auc"), hold_out=metric(0.8, "roc_auc"), lost=lost
    )


def level(ratio=1.0, half=0.02, off=None, slope=1.0) -> Calibration:
    return Calibration(
        rows=5000,
        expected=500,
        observed=500 * ratio,
        ratio=ratio,
        low=ratio - half,
        high=ratio + half,
        slope=slope,
        slope_low=slope - half,
        slope_high=slope + half,
        off=abs(ratio - 1) > half or abs(slope - 1) > half if off is None else off,
    )


LATE_LABELS = performance("insufficient_data")
RIGHT = performance()


# --- the table in docs/advice.md, row by row --------------------------------------------------

SHIFTED = column("a", "drifted")
TABLE = {
    "a broken column": (
        drift(column("a", "broken", reason="no columns of this name in the live rows"), *CALM),
        RIGHT,
        DUE,
        "fix_the_data",
        "a is broken: no columns of this name",
    ),
    "a unit changed": (
        drift(
            column(
                "temp",
                "drifted",
                reference=side(mean=15, sd=8, minimum=-8, median=15, maximum=39),
                live=side(mean=59, sd=14.4, minimum=18, median=59, maximum=102),
            ),
            *CALM,
        ),
        RIGHT,
        DUE,
        "fix_the_data",
        "temp looks as if its unit had changed: it is 1.8 times what it was +32, as from degrees "
        "Celsius to Fahrenheit",
    ),
    "values stopped coming": (
        drift(
            column("a", "drifted", reference=side(missing=0.02), live=side(missing=0.4)), *CALM
        ),
        RIGHT,
        DUE,
        "fix_the_data",
        "a: missing values: 2.0% in the reference, 40.0% live",
    ),
    "values stopped coming, told without sides": (
        drift(
            column("a", "drifted", statistic="missing_share", reason="missing values: 2 to 40 %"),
            *CALM,
        ),
        RIGHT,
        DUE,
        "fix_the_data",
        "a: missing values: 2 to 40 %",
    ),
    "a column is stuck": (
        drift(
            column(
                "a",
                "drifted",
                reference=side(mean=5, sd=2, minimum=0, median=5, maximum=10),
                live=side(mean=7, sd=0, minimum=7, median=7, maximum=7),
            ),
            *CALM,
        ),
        RIGHT,
        DUE,
        "fix_the_data",
        "a is 7 in every one of 5000 rows; in the reference it goes from 0 to 10",
    ),
    "a code list was replaced": (
        drift(
            column(
                "a", "drifted", "categorical", reference=side(unseen=0.01), live=side(unseen=0.9)
            ),
            *CALM,
        ),
        RIGHT,
        DUE,
        "fix_the_data",
        "a: 90.0% of the rows are in categories that the reference does not have",
    ),
    "some rows are absurd": (
        drift(
            column(
                "a",
                reference=side(mean=5, sd=2, minimum=0, median=5, maximum=12),
                live=side(mean=5, sd=60, minimum=0, median=5, maximum=4000),
            ),
            *CALM,
        ),
        RIGHT,
        DUE,
        "fix_the_data",
        "a has values such as 4000, where the reference goes from 0 to 12",
    ),
    "labels are missing that are due": (
        drift(*CALM),
        performance("insufficient_data", labelled=0),
        DUE,
        "fix_the_data",
        "labels: 0 of 5000 answers that are older than columns.label_delay (7d) have "
        "one, 100% should",
    ),
    "decayed, the order lost": (
        drift(*CALM),
        performance("decayed", discrimination=order(True), calibration=level(1.4)),
        DUE,
        "refit",
        "decayed on 5000 mature labels: log_loss 0.61, limit 0.45; the order of the answers was "
        "lost: roc_auc 0.6 [0.59, 0.61], hold-out 0.8",
    ),
    "decayed, the order not measured": (
        drift(*CALM),
        performance("decayed"),
        DUE,
        "refit",
        "the order of the answers was not measured",
    ),
    "decayed, order and level held": (
        drift(*CALM),
        performance("decayed", discrimination=order(False), calibration=level(1.0)),
        DUE,
        "refit",
        "their order held (roc_auc 0.8 [0.79, 0.81], hold-out 0.8) and their level is not off",
    ),
    "labels late, answers and features moved": (
        drift(SHIFTED, prediction(), *CALM),
        LATE_LABELS,
        LATE,
        "refit",
        "the answers drifted and so did a (3.0 times its threshold), and no label says how good "
        "they are (no prediction has a mature label)",
    ),
    "decayed, the level off, the order held": (
        drift(*CALM),
        performance("decayed", discrimination=order(False), calibration=level(1.3)),
        DUE,
        "recalibrate",
        "the level is off: 650 observed where 500 was expected on 5000 rows, 1.3 times "
        "[1.28, 1.32], slope 1 [0.98, 1.02]; the order held: roc_auc 0.8",
    ),
    "not decayed, the level off by more than 5 %": (
        drift(*CALM),
        performance(discrimination=order(False), calibration=level(1.1)),
        DUE,
        "recalibrate",
        "the level is off: 550 observed where 500 was expected",
    ),
    "not decayed, the slope off by more than 10 %": (
        drift(*CALM),
        performance(discrimination=order(False), calibration=level(slope=0.8)),
        DUE,
        "recalibrate",
        "slope 0.8 [0.78, 0.82]",
    ),
    "not decayed, the level off by a little": (
        drift(*CALM),
        performance(discrimination=order(False), calibration=level(1.03, half=0.01)),
        DUE,
        "leave",
        "no column drifted; log_loss 0.41, limit 0.45",
    ),
    "features moved, labels right": (
        drift(SHIFTED, *CALM),
        RIGHT,
        DUE,
        "leave",
        "drifted: a (3.0 times its threshold); the answers did not move, and labels are as "
        "promised: log_loss 0.41, limit 0.45",
    ),
    "features and answers moved, labels right": (
        drift(SHIFTED, prediction(), *CALM),
        RIGHT,
        DUE,
        "leave",
        "the answers moved with them, and labels are as promised",
    ),
    "labels late, features alone moved": (
        drift(SHIFTED, *CALM),
        LATE_LABELS,
        LATE,
        "leave",
        "drifted: a (3.0 times its threshold); the answers did not move",
    ),
    "nothing moved, labels right": (
        drift(*CALM),
        RIGHT,
        DUE,
        "leave",
        "no column drifted; log_loss 0.41, limit 0.45",
    ),
    "nothing moved, labels late": (
        drift(*CALM),
        LATE_LABELS,
        LATE,
        "leave",
        "how good the answers are is not known: no prediction has a mature label; labels are due "
        "7d after the answers",
    ),
    "labels moved, all else held": (
        drift(column("y", "drifted", role="label"), *CALM),
        RIGHT,
        DUE,
        "leave",
        "the labels drifted: y (3.0 times its threshold)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE)
def test_each_row_of_the_table(row):
    reported, judged, now, action, words = TABLE[row]
    found = advise(spec(), reported, judged, now=now)
    assert found.action == action, found
    assert words in found.reasons[0]
    assert found.needs_person == (row == "labels are missing that are due")
    assert (found.model, found.window, found.version) == ("model", WINDOW, 3)
    assert found.drift_report_at == found.performance_report_at == CREATED


MISSING = {
    "answers moved alone, labels late": (
        drift(prediction(), *CALM),
        LATE_LABELS,
        "the answers drifted, no feature alone did, and no label says how good they are (no "
        "prediction has a mature label): have a person look",
    ),
    "nobody asked": (
        drift(column("a", "insufficient_data", reason="0 live rows"), rows=0),
        performance("insufficient_data", predictions=0),
        f"nobody asked for a prediction in {WINDOW}: is traffic reaching the server?",
    ),
    "too little to tell": (
        drift(column("a", "insufficient_data", reason="20 live rows, and min_rows is 200")),
        RIGHT,
        "drift is not known: 20 live rows, and min_rows is 200",
    ),
}


@pytest.mark.parametrize("row", MISSING)
def test_what_is_missing_asks_a_person(row):
    reported, judged, words = MISSING[row]
    found = advise(spec(), reported, judged, now=LATE)
    assert (found.action, found.needs_person) == ("leave", True)
    assert words in found.reasons


def test_labels_that_are_there_and_judge_nothing_ask_a_person():
    judged = performance("insufficient_data", labelled=5000, reason="only the label 0 is present")
    found = advise(spec(), drift(*CALM), judged, now=DUE)
    assert (found.action, found.needs_person) == ("leave", True)
    assert found.reasons == ["how good the answers are is not known: only the label 0 is present"]


@pytest.mark.parametrize(
    ("due", "known", "now", "action"),
    [
        (13, 0, LATE, "leave"),  # the first hours of a week: the next batch of labels is to come
        (249, 0, LATE, "leave"),
        (250, 0, LATE, "fix_the_data"),
        (250, 125, LATE, "leave"),
        (13, 0, DUE, "fix_the_data"),  # the whole window is due, and this is all that there is
    ],
)
def test_a_few_labels_that_are_late_call_nobody(due, known, now, action):
    judged = performance("insufficient_data", labelled=known, due=due, known=known)
    found = advise(spec(), drift(*CALM), judged, now=now)
    assert (found.action, found.needs_person) == (action, action == "fix_the_data")


def test_labels_that_were_never_to_come_are_not_missing():
    keyless = spec(
        cadence="none",
        start=None,
        columns={"target": "y"},
        training={"hold_out": 0.3},
        monitoring={},
    )
    found = advise(keyless, drift(*CALM), LATE_LABELS, now=DUE)
    assert (found.action, found.needs_person) == ("leave", False)
    assert "columns.key is not declared" in found.reasons[0]
    moved = drift(SHIFTED, prediction(), *CALM)
    assert advise(keyless, moved, LATE_LABELS, now=DUE).action == "refit"


def test_the_gravest_decides_and_all_that_was_found_is_told():
    reported = drift(column("b", "broken", reason="no value in the live rows"), *CALM)
    judged = performance("decayed", discrimination=order(True))
    found = advise(spec(), reported, judged, now=DUE)
    assert found.action == "fix_the_data"
    assert found.columns == ["b"]
    assert "b is broken" in found.reasons[0]
    assert "the order of the answers was lost" in found.reasons[1]


def test_a_ranking_is_never_recalibrated():
    ranking = spec(
        task="ranking",
        columns={"item": "item", "unit": "user", "time": "at", "label_delay": "7d"},
        gate={"metric": "ndcg_at_10", "margin": 0.01},
    )
    judged = performance(
        "decayed", metric="ndcg_at_10", discrimination=order(False), calibration=level(1.5)
    )
    assert advise(ranking, drift(*CALM), judged, now=DUE).action == "refit"


def test_an_estimate_without_labels_is_told_with_its_worth():
    said = EstimatedPerformance(
        method="confidence",
        estimate=metric(0.43),
        rows=5000,
        assumptions=[Assumption(name="calibrated", holds=False, words="it is not")],
        trusted=False,
    )
    judged = performance("insufficient_data", estimated=said)
    found = advise(spec(), drift(SHIFTED, prediction(), *CALM), judged, now=LATE)
    assert found.action == "refit"
    assert "log_loss 0.43" in found.reasons[0]
    assert "not to be trusted" in found.reasons[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"window": "2026-01-19"}, "the performance report of window 2026-01-19"),
        ({"version": 4}, "the performance report of window 2026-01-12, v4"),
        ({"model": "other"}, "the performance report is of other"),
    ],
)
def test_reports_of_two_stories_give_no_advice(changes, words):
    with pytest.raises(EvidenceError, match=words):
        advise(spec(), drift(*CALM), performance(**changes), now=DUE)


# --- units, and populations that only look like them ------------------------------------------


def drawn(seed=0, size=5000):
    return np.random.default_rng(seed).gamma(4.0, 5.0, size)


@pytest.mark.parametrize(
    ("factor", "offset", "words"),
    [
        (1000, 0, "units to thousandths"),
        (0.01, 0, "hundredths (shares to percent, euros to cents) to units"),
        (2.54, 0, "inches to centimetres"),
        (1 / 60, 0, "minutes (or minutes to seconds) to hours"),
        (1.8, 32, "degrees Celsius to Fahrenheit"),
        (1 / 1.8, -32 / 1.8, "Fahrenheit to degrees Celsius"),
        (1, 273.15, "degrees Celsius to kelvin"),
        (-1, 0, "one sign to the other"),
    ],
)
def test_known_units_are_named(factor, offset, words):
    found = mistaken(side(drawn()), side(factor * drawn(1) + offset))
    assert words in found.conversion.words
    assert found.factor == pytest.approx(factor, rel=0.05)


def test_a_factor_of_no_known_unit_is_told_when_no_population_moves_by_it():
    found = mistaken(side(drawn()), side(37 * drawn(1)))
    assert found.conversion is None
    assert found.factor == pytest.approx(37, rel=0.05)
    assert mistaken(side(drawn()), side(4.6 * drawn(1))) is None


@pytest.mark.parametrize("shape", ["normal", "exponential", "lognormal", "standard_t", "poisson"])
def test_stationary_columns_have_no_other_unit(shape):
    rng = np.random.default_rng(0)
    param = {"standard_t": 3, "poisson": 0.1}.get(shape, 0)
    draw = getattr(rng, shape)
    sides = [side(draw(param, n) if param else draw(size=n)) for n in (20_000, *[2000] * 50)]
    assert sum(mistaken(sides[0], live) is not None for live in sides[1:]) <= 1


def test_a_long_tail_is_told_by_its_median():
    rng = np.random.default_rng(0)
    reference = side(rng.lognormal(0, 2, 20_000))
    assert mistaken(reference, side(rng.lognormal(0, 2, 20_000))) is None
    found = mistaken(reference, side(100 * rng.lognormal(0, 2, 20_000)))
    assert found is not None
    assert found.factor > 10


SHARES = [0.6, 0.9, 0.99]


def claims(share, rng, size=5000):
    """Amounts of which most are 0."""
    return np.where(rng.random(size) < share, 0, rng.lognormal(4, 1.5, size))


def profiled(before, now):
    """Both sides of a column as a drift report has them."""
    reference = Profile.of(pd.DataFrame({"x": before}))
    return reference["x"].side, scan(pd.DataFrame({"x": now}), reference)["x"].side


@pytest.mark.parametrize("share", SHARES)
def test_amounts_that_are_mostly_zero_are_told_by_those_that_are_not(share):
    rng = np.random.default_rng(0)
    drawn = [(claims(share, rng), claims(share, rng)) for _ in range(50)]
    assert sum(mistaken(*profiled(a, b)) is not None for a, b in drawn) <= 1
    assert sum(mistaken(*profiled(a, 100 * b)) is not None for a, b in drawn) >= 40
    assert sum(mistaken(*profiled(a, b / 1000)) is not None for a, b in drawn) >= 40


@pytest.mark.parametrize(("before", "now"), [(0.99, 0.5), (0.9, 0.99), (0.999, 0.9)])
def test_more_claims_or_fewer_are_no_other_unit(before, now):
    rng = np.random.default_rng(0)
    drawn = [(claims(before, rng), claims(now, rng)) for _ in range(50)]
    assert sum(mistaken(*profiled(a, b)) is not None for a, b in drawn) == 0


def of_costs(factor, ratio):
    """The advice on a severity model whose labels came in another unit, or at another level."""
    rng = np.random.default_rng(0)
    before, now = rng.gamma(2, 500, 5000), factor * rng.gamma(2, 500, 5000)
    label = column("cost", "drifted", role="label", reference=side(before), live=side(now))
    judged = performance("decayed", discrimination=order(False), calibration=level(ratio))
    severity = spec(task="regression", gate={"metric": "mean_absolute_error", "margin": 0.01})
    return advise(severity, drift(label, *CALM), judged, now=DUE)


def test_a_model_is_not_recalibrated_to_labels_in_cents():
    found = of_costs(100, 100)
    assert (found.action, found.columns) == ("fix_the_data", ["cost"])
    assert "cost looks as if its unit had changed: it is 98.3 times" in found.reasons[0]


def test_costs_that_doubled_are_a_level():
    assert of_costs(2.2046, 2.2).action == "recalibrate"


@pytest.mark.parametrize(
    ("highest", "action"), [(9, "leave"), (2000, "fix_the_data"), (-1, "fix_the_data")]
)
def test_labels_may_be_absurd_as_well(highest, action):
    counts = np.random.default_rng(0).poisson(0.2, 5000)
    label = column("claims", role="label", reference=side(counts), live=side([*counts, highest]))
    gate = {"metric": "mean_poisson_deviance", "margin": 0.01}
    frequency = spec(task="count_regression", gate=gate)
    assert advise(frequency, drift(label, *CALM), RIGHT, now=DUE).action == action


def test_a_season_is_no_other_unit():
    """Mean and spread of temperatures move from winter to summer, and no conversion fits both."""
    rng = np.random.default_rng(0)
    assert mistaken(side(rng.normal(2, 5, 5000)), side(rng.normal(24, 5, 5000))) is None
    assert mistaken(side(rng.normal(12, 9, 5000)), side(rng.normal(24, 5, 5000))) is None


def scaled(name, factor):
    return column(name, "drifted", reference=side(drawn()), live=side(factor * drawn(1)))


def test_what_moved_with_everything_else_is_another_population():
    """Amounts 2.54 times what they were: one column is a unit, most columns are the world."""
    alone = drift(scaled("length", 2.54), *CALM)
    assert advise(spec(), alone, RIGHT, now=DUE).action == "fix_the_data"
    world = drift(*[scaled(name, 2.54) for name in ("length", "width", "weight")], *CALM[:2])
    found = advise(spec(), world, RIGHT, now=DUE)
    assert found.action == "leave"
    assert "another population" in found.reasons[0]
    # No population is a thousand times another.
    feed = drift(*[scaled(name, 1000) for name in ("length", "width", "weight")], *CALM[:2])
    assert advise(spec(), feed, RIGHT, now=DUE).action == "fix_the_data"


def test_new_categories_everywhere_are_new_customers():
    burst = {"reference": side(unseen=0.0), "live": side(unseen=0.3)}
    columns = [column(name, "drifted", "categorical", **burst) for name in "uvw"]
    assert advise(spec(), drift(*columns, *CALM[:2]), RIGHT, now=DUE).action == "leave"


def test_a_share_that_was_large_before_may_grow_without_a_feed_breaking():
    grown = column("a", "drifted", reference=side(missing=0.4), live=side(missing=0.52))
    assert advise(spec(), drift(grown, *CALM), RIGHT, now=DUE).action == "leave"


def test_a_rare_flag_that_nobody_raised_is_not_stuck():
    before = side(mean=0.001, sd=0.0316, minimum=0, median=0, maximum=1)
    now = side(rows=300, mean=0, sd=0, minimum=0, median=0, maximum=0)
    rare = column("flag", "drifted", reference=before, live=now)
    assert advise(spec(), drift(rare, *CALM), RIGHT, now=DUE).action == "leave"
    often = before.model_copy(update={"mean": 0.3, "sd": 0.458})
    stuck = column("flag", "drifted", reference=often, live=now)
    assert advise(spec(), drift(stuck, *CALM), RIGHT, now=DUE).action == "fix_the_data"


@pytest.mark.parametrize(
    ("code", "action"), [(-1, "fix_the_data"), (999, "fix_the_data"), (14, "leave")]
)
def test_codes_for_unknown_are_absurd(code, action):
    live = drawn(1, 2000).clip(0, 60)
    live[:20] = code
    reported = drift(column("a", reference=side(drawn().clip(0, 60)), live=side(live)), *CALM)
    assert advise(spec(), reported, RIGHT, now=DUE).action == action


def test_tails_are_not_absurd():
    rng = np.random.default_rng(0)
    for draw in (
        lambda n: rng.lognormal(0, 1, n),
        lambda n: rng.exponential(1, n),
        lambda n: rng.pareto(1.5, n),
        lambda n: rng.standard_t(3, n),
    ):
        for _ in range(30):
            columns = [column("a", reference=side(draw(5000)), live=side(draw(5000))), *CALM]
            assert advise(spec(), drift(*columns), RIGHT, now=DUE).action == "leave"
