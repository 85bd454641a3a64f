"""Judging a challenger: the hold-out is unseen, everyone is asked the same rows, nothing is NaN."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.evaluation import Candidate, evaluate, policy_hash, prove_unseen
from mlops_assets.lifecycle.fingerprint import row_hashes
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets_tests.harness import START, visits, week, weekly

FEATURES = ["interest", "minutes"]
BASELINE = {"class": "sklearn.dummy.DummyClassifier"}


def declared(**changes) -> ModelSpec:
    return ModelSpec.model_validate(weekly(**changes))


def weeks(count: int = 3, rows: int = 300) -> dict[str, pd.DataFrame]:
    """Windows of visits by their keys."""
    frame = visits(count, rows)
    return {week(i): frame[i * rows : (i + 1) * rows].reset_index(drop=True) for i in range(count)}


def ends(number: int) -> datetime:
    """When the ``number``-th week, counted from 0, is over."""
    return datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(weeks=number + 1)


class Asked:
    """An estimator that keeps what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def predict_proba(self, frame):
        self.asked.append(frame)
        chance = np.asarray(self.answer(frame), float)
        return np.column_stack([1 - chance, chance])


def knows(frame):
    return 1 / (1 + np.exp(-2 * frame["interest"]))


def half(frame):
    return np.full(len(frame), 0.5)


def candidate(number: int, estimator, seen: dict, until: datetime | None) -> Candidate:
    version = Version("shop", number, "", "", {"digest": f"digest {number}"}, 0)
    return Candidate(version, estimator, row_hashes(training.join_windows(seen)), until)


class Case:
    """Two training windows and a hold-out; the champion was trained on the older one."""

    def __init__(self, spec: ModelSpec | None = None):
        self.spec = spec or declared()
        self.seen, self.held = training.split(self.spec, weeks())
        self.rows = training.join_windows(self.held)

    def challenger(self, answer=knows, **changes) -> Candidate:
        made = {"seen": self.seen, "until": ends(1)} | changes
        return candidate(2, Asked(answer), **made)

    def champion(self, answer=half, **changes) -> Candidate:
        made = {"seen": {week(0): self.seen[week(0)]}, "until": ends(0)} | changes
        return candidate(1, Asked(answer), **made)

    def judge(self, challenger, champion=None, baseline=None, held=None):
        held = self.held if held is None else held
        return evaluate(self.spec, week(2), self.seen, held, challenger, champion, baseline)


@pytest.fixture
def case() -> Case:
    return Case()


# --- the hold-out is unseen -----------------------------------------------------------------


def test_the_hold_out_is_the_newest_windows():
    spec = declared(training__hold_out=2)
    seen, held = training.split(spec, weeks(5, 10))
    assert list(seen) == [week(0), week(1), week(2)]
    assert list(held) == [week(3), week(4)]


def leaked(case: Case, rows: int) -> dict[str, pd.DataFrame]:
    """Training windows into which some rows of the hold-out got, in another order."""
    slipped = case.rows.sample(rows, random_state=1)
    return case.seen | {week(1): pd.concat([slipped, case.seen[week(1)]])}


def test_a_challenger_that_saw_hold_out_rows_is_not_judged(case):
    seen = leaked(case, 3)
    with pytest.raises(EvidenceError, match="shop v2 was trained on 3 of the 300 hold-out rows"):
        case.judge(case.challenger(seen=seen), case.champion())


def test_a_champion_that_saw_hold_out_rows_is_not_compared_with(case):
    seen = leaked(case, 1)
    with pytest.raises(EvidenceError, match="shop v1 was trained on 1 of the 300 hold-out rows"):
        case.judge(case.challenger(), case.champion(seen=seen))


@pytest.mark.parametrize("who", ["challenger", "champion"])
def test_a_hold_out_that_is_not_later_than_the_training_is_refused(case, who):
    until = ends(2) - timedelta(days=6)
    late = {who: getattr(case, who)(until=until)}
    models = {"challenger": case.challenger(), "champion": case.champion()} | late
    number = late[who].version.number
    with pytest.raises(EvidenceError, match=f"shop v{number} was trained on data up to .* later"):
        case.judge(**models)


def test_one_row_that_is_too_early_is_enough(case):
    early = case.rows.copy()
    early.loc[17, "at"] = pd.Timestamp(ends(1) - timedelta(seconds=1))
    with pytest.raises(EvidenceError, match="must be later"):
        case.judge(case.challenger(), held={week(2): early})


def test_a_row_at_the_very_end_of_the_training_is_later(case):
    exact = case.rows.copy()
    exact["at"] = pd.Timestamp(ends(1))
    assert case.judge(case.challenger(), held={week(2): exact}).unseen[0].shared_rows == 0


@pytest.mark.parametrize("missing", [1, 300])
def test_a_row_without_a_time_proves_nothing(case, missing):
    unknown = case.rows.copy()
    unknown.loc[: missing - 1, "at"] = pd.NaT
    with pytest.raises(EvidenceError, match="must be later"):
        case.judge(case.challenger(), held={week(2): unknown})


def test_the_report_proves_for_both_that_they_saw_nothing(case):
    unseen = case.judge(case.challenger(), case.champion()).unseen
    found = [(u.version, u.training_rows, u.shared_rows, u.trained_until) for u in unseen]
    assert found == [(2, 600, 0, ends(1)), (1, 300, 0, ends(0))]


def test_a_row_is_known_again_wherever_it_stands_and_however_columns_are_ordered(case):
    shuffled = case.rows.sample(frac=1, random_state=0)[sorted(case.rows.columns, reverse=True)]
    seen = {week(1): shuffled}
    with pytest.raises(EvidenceError, match="300 of the 300"):
        prove_unseen(case.spec, case.rows, case.challenger(seen=seen))


# --- evidence that is none ------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, 1])
def test_a_hold_out_of_one_class_judges_nobody(case, label):
    one = case.rows.assign(bought=label)
    with pytest.raises(EvidenceError, match=rf"shop: the hold-out .* only the label \[{label}\]"):
        case.judge(case.challenger(), held={week(2): one})


def test_an_empty_hold_out_judges_nobody(case):
    with pytest.raises(EvidenceError, match="no rows to judge on"):
        case.judge(case.challenger(), held={week(2): case.rows[:0]})


def sometimes(value):
    def answer(frame):
        chance = half(frame)
        chance[:4] = value
        return chance

    return answer


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_answers_no_number_is_refused(case, value):
    told = "answers NaN or infinity on 4 of 300 rows"
    with pytest.raises(EvidenceError, match=f"shop v2 {told}"):
        case.judge(case.challenger(sometimes(value)), case.champion())
    with pytest.raises(EvidenceError, match=f"shop v1 {told}"):
        case.judge(case.challenger(), case.champion(sometimes(value)))
    with pytest.raises(EvidenceError, match=f"the baseline {told}"):
        case.judge(case.challenger(), None, Asked(sometimes(value)))


def test_one_answer_for_all_rows_is_refused(case):
    with pytest.raises(EvidenceError, match="shop v2 gives 1 answers to 300 rows"):
        case.judge(case.challenger(lambda frame: [0.5]))


def test_a_class_that_a_model_does_not_know_is_named():
    changes = {
        "task": "multiclass_classification",
        "gate__metric": "accuracy",
        "gate__floor": {"accuracy": 0.1},
    }
    case = Case(declared(**changes))
    held = {week(2): case.rows.assign(bought=np.arange(len(case.rows)) % 3)}
    told = "shop v2 knows the classes 0 to 1, and the hold-out has class 2"
    with pytest.raises(EvidenceError, match=told):
        case.judge(case.challenger(), held=held)


# --- the comparison -------------------------------------------------------------------------


def test_everyone_is_asked_the_same_rows_without_label_time_and_unit(case):
    challenger, champion = case.challenger(), case.champion()
    baseline = Asked(half)
    case.judge(challenger, champion, baseline)
    for model in (challenger.estimator, champion.estimator, baseline):
        (asked,) = model.asked
        pd.testing.assert_frame_equal(asked, case.rows[FEATURES])


def test_the_metrics_and_the_gain_are_those_of_scikit_learn_and_scipy(case):
    report = case.judge(case.challenger(), case.champion())
    chance, truth = knows(case.rows), case.rows["bought"]
    values = {e.metric: e for e in report.challenger}
    assert values["log_loss"].value == pytest.approx(log_loss(truth, chance))
    assert values["roc_auc"].value == pytest.approx(roc_auc_score(truth, chance))
    assert all(e.low < e.value < e.high for e in report.challenger)

    per_row = np.log(2) + np.log(chance.where(truth == 1, 1 - chance))
    gains = per_row.groupby(case.rows["customer"]).agg(["sum", "count"])
    gain = per_row.mean()
    residual = gains["sum"] - gain * gains["count"]
    units = len(gains)
    error = np.sqrt(units / (units - 1) * (residual**2).sum()) / len(per_row)
    comparison = report.comparison
    assert (comparison.test, comparison.rival, comparison.units) == ("paired_t", "shop v1", units)
    assert comparison.gain == pytest.approx(gain)
    assert comparison.low == pytest.approx(gain - stats.t.ppf(0.95, units - 1) * error)
    assert report.hold_out_units == units


def test_the_verdict_says_what_it_is_bound_to(case):
    verdict = case.judge(case.challenger(), case.champion()).verdict
    assert (verdict.verdict, verdict.accepted) == ("better", True)
    assert (verdict.challenger_version, verdict.challenger_digest) == (2, "digest 2")
    assert verdict.champion_version == 1
    assert verdict.data_version == training.data_version(case.held)
    assert verdict.policy_hash == policy_hash(case.spec)


def test_turned_round_the_challenger_is_below_its_floor_and_without_one_worse():
    without = Case(declared(gate__floor={}))
    report = without.judge(without.challenger(half), without.champion(knows))
    assert (report.verdict.verdict, report.verdict.accepted) == ("worse", False)
    case = Case()
    report = case.judge(case.challenger(half), case.champion(knows))
    assert (report.verdict.verdict, report.verdict.accepted) == ("below_floor", False)
    assert report.verdict.reasons[0] == "roc_auc 0.5 misses its floor 0.6"
    assert "answers: one and the same answer to 300 rows" in report.verdict.reasons


def test_what_the_policy_does_not_accept_is_not_accepted():
    case = Case(declared(gate__accept=["better"]))
    verdict = case.judge(case.challenger(), case.champion(knows)).verdict
    assert (verdict.verdict, verdict.accepted) == ("non_inferior", False)


@pytest.mark.parametrize(
    "change",
    [
        {"gate__margin": 0.03},
        {"gate__alpha": 0.06},
        {"gate__floor": {"roc_auc": 0.61}},
        {"gate__metric": "brier_score"},
        {"gate__accept": ["better"]},
        {"gate__test": "cluster_bootstrap"},
        {"columns__unit": None},
        {"training__hold_out": 2},
    ],
)
def test_an_edited_gate_has_another_hash(change):
    assert policy_hash(declared(**change)) != policy_hash(declared())


def test_what_is_not_the_gates_leaves_its_hash_alone():
    other = declared(estimator__params={"C": 2.0}, alerts=["console"], description="new")
    assert policy_hash(other) == policy_hash(declared())


# --- first models ---------------------------------------------------------------------------


def test_a_first_model_is_judged_by_its_floor(case):
    assert case.judge(case.challenger()).verdict.verdict == "first_model"
    below = case.judge(case.challenger(half)).verdict
    assert (below.verdict, below.accepted) == ("below_floor", False)


def test_a_first_model_with_neither_floor_nor_baseline_is_not_accepted():
    case = Case(declared(gate__floor={}))
    verdict = case.judge(case.challenger()).verdict
    assert (verdict.verdict, verdict.accepted) == ("below_floor", False)


@pytest.mark.parametrize("floor", [{}, {"roc_auc": 0.6}])
def test_a_first_model_is_compared_with_the_declared_baseline(floor):
    case = Case(declared(gate__floor=floor, gate__baseline=BASELINE))
    with pytest.raises(EvidenceError, match=r"gate.baseline is declared"):
        case.judge(case.challenger())
    seen = training.join_windows(case.seen)
    baseline = training.fit(case.spec, seen, case.spec.gate.baseline)
    assert isinstance(baseline, DummyClassifier)
    report = case.judge(case.challenger(), None, baseline)
    assert (report.verdict.verdict, report.comparison.rival) == ("first_model", "the baseline")
    assert report.baseline


def test_a_first_model_that_is_no_better_than_the_baseline_is_not_accepted():
    case = Case(declared(gate__floor={}, gate__baseline=BASELINE))
    worse = case.judge(case.challenger(lambda f: 1 - knows(f)), None, Asked(half)).verdict
    assert (worse.verdict, worse.accepted) == ("below_floor", False)
    even = case.judge(case.challenger(half), None, Asked(half)).verdict
    assert not even.accepted


# --- a data set without windows -------------------------------------------------------------


def whole(**changes) -> ModelSpec:
    plain = {"cadence": "none", "start": None, "training": {"hold_out": 0.3}}
    return declared(**plain, retrain__schedule=None, **changes)


def sides(spec: ModelSpec, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    seen, held = training.split(spec, {"all": frame})
    return seen["all"], held["all"]


def test_the_hold_out_has_about_the_declared_share():
    frame = visits(1, 3000)
    seen, held = sides(whole(columns__unit=None), frame)
    assert len(seen) + len(held) == 3000
    assert len(held) / 3000 == pytest.approx(0.3, abs=0.03)


def test_equal_rows_are_on_one_side():
    frame = pd.concat([visits(1, 200)] * 3, ignore_index=True).sample(frac=1, random_state=0)
    seen, held = sides(whole(columns__unit=None), frame)
    assert len(held) > 0
    assert not set(seen["visit"]) & set(held["visit"])


def test_the_rows_of_a_unit_are_on_one_side():
    frame = visits(1, 2000)
    assert frame["customer"].duplicated().any()
    seen, held = sides(whole(), frame)
    assert len(held) > 0
    assert not set(seen["customer"]) & set(held["customer"])


@pytest.mark.parametrize("unit", ["customer", None])
def test_a_row_stays_on_its_side_when_the_data_grow(unit):
    frame = visits(1, 1000)
    _, before = sides(whole(columns__unit=unit), frame[:500])
    _, after = sides(whole(columns__unit=unit), frame.sample(frac=1, random_state=0))
    assert set(before["visit"]) == set(after["visit"]) & set(frame["visit"][:500])
    assert len(after) > len(before)


def test_without_windows_a_real_model_is_judged_on_what_it_did_not_see():
    spec = whole(gate__floor={"roc_auc": 0.6})
    seen, held = training.split(spec, {"all": visits(1, 1500)})
    estimator = training.fit(spec, seen["all"])
    assert isinstance(estimator, LogisticRegression)
    report = evaluate(spec, "all", seen, held, candidate(1, estimator, seen, None), None)
    assert report.unseen[0].shared_rows == 0
    assert report.verdict.verdict == "first_model"
