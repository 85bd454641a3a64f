"""Faults on purpose: defences hold on a sound model, and are told failed where they are gone."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from filelock import FileLock

from mlops_assets import cli
from mlops_assets.lifecycle.advice import advise
from mlops_assets.lifecycle.advice.rules import RULES
from mlops_assets.lifecycle.advice.rules.absurd_values import AbsurdValues
from mlops_assets.lifecycle.advice.rules.labels_missing import LabelsMissing
from mlops_assets.lifecycle.advice.rules.unit_changed import UnitChanged
from mlops_assets.lifecycle.rollout import changes
from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.lifecycle.window import WindowGrid
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.drill import crash
from mlops_assets.rehearsal.drill.base import Watched
from mlops_assets.rehearsal.drill.drill import SCENARIOS
from mlops_assets.rehearsal.drill.ground import Ground
from mlops_assets.rehearsal.drill.ground import drilled as drilled_spec
from mlops_assets.rehearsal.drill.report import DrillReport, ScenarioOutcome, detected_after
from mlops_assets.rehearsal.world import span_of
from mlops_assets_tests.harness import visits, week
from mlops_assets_tests.rehearsal.test_backtest import declare, digests

WEEKS, ROWS, SEED = 6, 800, 3
NOW_ON = {"schedule": None, "on": ["drift", "decay"], "cooldown": "1d"}
WATCHED = ("drift", "label_delay", "poisoned_batch")
CONTRACT = {"columns": {"minutes": {"dtype": "float", "ge": 0}}}


def shop(folder: Path, **changes) -> Path:
    """A model whose contract knows that nobody stays for less than no minutes."""
    frame = visits(WEEKS, rows=ROWS, seed=SEED)
    return declare(folder, frame, end=week(WEEKS), retrain=NOW_ON, contract=CONTRACT, **changes)


def drilled(folder: Path, *names: str) -> tuple[int, DrillReport]:
    """What the command returns and writes."""
    more = [part for name in names for part in ("--scenario", name)]
    told = ["--home", str(folder / "home"), "--json", str(folder / "report.json")]
    code = cli.main(["--defs", str(folder / "defs"), "drill", "shop", *told, *more])
    text = (folder / "report.json").read_text("utf-8")
    return code, DrillReport.model_validate_json(text)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A drill of everything, beside a production that has something to lose."""
    folder = tmp_path_factory.mktemp("drill")
    shop(folder / "defs")
    production = folder / "production"
    (production / "prediction_log").mkdir(parents=True)
    (production / "prediction_log" / "kept").write_text("as it was")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLOPS_HOME", str(production))
        before = digests(production)
        code, report = drilled(folder)
        after = digests(production)
    told = {"code": code, "report": report, "before": before, "after": after}
    return told | {"production": production, "defs": folder / "defs"}


@pytest.mark.slow
def test_every_defence_of_a_sound_model_holds(sound):
    report = sound["report"]
    assert [o.scenario for o in report.outcomes] == list(SCENARIOS)
    assert {o.scenario: o.wrong for o in report.outcomes} == {name: [] for name in SCENARIOS}
    assert report.passed
    assert sound["code"] == 0
    assert (report.control, report.window) == (week(WEEKS - 2), week(WEEKS - 1))


@pytest.mark.slow
def test_what_is_watched_is_found_on_the_day_on_which_the_window_closes(sound):
    by_name = {o.scenario: o for o in sound["report"].outcomes}
    for name in WATCHED:
        found = by_name[name]
        # The watch reports half an hour after midnight, on every row of the window.
        assert (found.windows, found.predictions, found.seconds) == (0, ROWS, 1800)


@pytest.mark.slow
def test_each_scenario_tells_its_evidence(sound):
    by_name = {o.scenario: "\n".join(o.happened) for o in sound["report"].outcomes}
    assert "named as drifted, and not in the calm window: interest, minutes" in by_name["drift"]
    assert "once the labels had come: healthy" in by_name["label_delay"]
    assert "the raw window was stopped: contract" in by_name["poisoned_batch"]
    assert "advice: fix_the_data" in by_name["poisoned_batch"]
    assert "roll_back after" in by_name["bad_canary"]
    assert "error_rate: errors answered" in by_name["bad_canary"]
    assert "latency_p95: answers slower than" in by_name["slow_canary"]
    assert all("advice on the calm window: leave" in by_name[name] for name in WATCHED)
    # Begun, previous, champion, challenger dropped, done: from the fourth on the new one serves.
    assert "served after the kills, in order: v1, v1, v1, v2, v2" in by_name["crash"]


@pytest.mark.slow
def test_what_changed_what_serves_was_rolled_back(sound):
    rollbacks = {o.scenario: o.rollback for o in sound["report"].outcomes}
    assert rollbacks == dict.fromkeys(SCENARIOS, "not needed") | {
        "bad_canary": "worked",
        "slow_canary": "worked",
        "crash": "worked",
    }
    (canary,) = (o for o in sound["report"].outcomes if o.scenario == "bad_canary")
    assert "(declared is direct)" in canary.injected
    assert "last answer of the bad version" in canary.happened[1]


@pytest.mark.slow
def test_nothing_of_production_is_written(sound):
    assert sound["before"] == sound["after"]


@pytest.mark.slow
def test_the_page_needs_nothing_else(sound):
    page = Path(sound["report"].html).read_text("utf-8")
    assert "Every defence held." in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    stored = Path(sound["report"].home) / "report.json"
    assert json.loads(stored.read_text("utf-8")) == json.loads(sound["report"].model_dump_json())


@pytest.fixture
def ground(sound, tmp_path, monkeypatch):
    """Where the sound model was drilled, to be played on again without some defence."""
    monkeypatch.setenv("MLOPS_HOME", str(sound["production"]))
    declared, place = load_specs(sound["defs"])["shop"]
    report = sound["report"]
    spec, home = drilled_spec(declared), Path(report.home)
    span = span_of(spec, report.control, report.window, report.created_at)
    shutil.copytree(home / "challenger", tmp_path / "challenger", symlinks=True)
    base = Copy(home / "base", home / "world", home / "artifacts", spec, place)
    return Ground(base, span, tmp_path, declared, lambda line: None)


def take_away(monkeypatch, *rules):
    """Advise without some rules."""
    kept = tuple(rule for rule in RULES if not isinstance(rule, rules))
    assert len(kept) == len(RULES) - len(rules)
    monkeypatch.setattr(advise, "RULES", kept)


@pytest.mark.slow
def test_a_drift_that_no_report_names_is_a_failure_and_exit_code_1(tmp_path):
    shop(tmp_path / "defs", monitoring__drift={"min_effect": 1e6})
    code, report = drilled(tmp_path, "drift")
    (outcome,) = report.outcomes
    assert code == 1
    assert not report.passed
    assert not outcome.passed
    assert not outcome.detected
    assert outcome.wrong == ["no report names interest or minutes that was calm before"]
    assert "drift: the defence failed." in Path(report.html).read_text("utf-8")


@pytest.mark.slow
def test_labels_that_nobody_misses_are_a_failure(ground, monkeypatch):
    take_away(monkeypatch, LabelsMissing)
    outcome = SCENARIOS["label_delay"].play(ground)
    assert not outcome.passed
    assert not outcome.detected
    assert outcome.wrong == ["nobody was told to fix the data"]


@pytest.mark.slow
def test_a_poisoned_window_that_a_model_would_be_fitted_on_is_a_failure(ground, monkeypatch):
    take_away(monkeypatch, AbsurdValues, UnitChanged)
    outcome = SCENARIOS["poisoned_batch"].play(ground)
    assert not outcome.passed
    assert not outcome.detected
    advised, told, asked = outcome.wrong
    assert advised == "the advice on poisoned traffic is refit"
    assert told == "nobody was told to fix the data"
    assert asked == "shop_on_decay asked for a retrain on it"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "looked_at"), [("bad_canary", "latency_p95"), ("slow_canary", "error_rate")]
)
def test_a_bad_canary_that_no_guardrail_takes_back_is_a_failure(ground, name, looked_at):
    # Nobody looks at what is wrong with it.
    lax = DeploymentPolicy(strategy="canary", guardrails={looked_at: 1e6})
    declared = ground.declared.model_copy(update={"deployment": lax})
    scenario = SCENARIOS[name]
    outcome = scenario.play(replace(ground, declared=declared))
    assert not outcome.passed
    assert not outcome.detected
    assert f"({scenario.guardrail} is not declared); it was taken back by hand" in outcome.wrong[0]
    assert outcome.rollback == "worked"


@pytest.mark.slow
def test_a_promotion_that_nobody_completes_is_a_failure(ground, monkeypatch):
    # Killed once it was written down and before anything moved.
    monkeypatch.setattr(crash, "MOST_WRITES", 2)
    monkeypatch.setattr(changes, "complete", lambda *arguments: None)
    outcome = SCENARIOS["crash"].play(ground)
    assert not outcome.passed
    assert any("still unfinished" in line for line in outcome.wrong)


def test_an_outcome_can_not_pass_with_something_wrong():
    with pytest.raises(ValueError, match="passed is True, and wrong"):
        ScenarioOutcome(
            scenario="drift", injected="i", expected="e", happened=[], detected=True, wrong=["w"],
            passed=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shop", "--scenario", "drifd"], "unknown scenario 'drifd'"),
        (["shop", "--home", "."], "is not empty: choose another --home"),
        (["shop", "--home", "notes/there"], "there: Not a directory"),
        (["shoe"], "no model 'shoe'; declared: shop"),
    ],
)
def test_errors_are_sentences(tmp_path, capsys, monkeypatch, arguments, words):
    defs = shop(tmp_path / "defs")
    (tmp_path / "notes").touch()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--defs", str(defs), "drill", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_two_processes_do_not_play_in_one_home(tmp_path, capsys):
    defs, home = shop(tmp_path / "defs"), tmp_path / "home"
    home.mkdir()
    with FileLock(home / "lock"):
        assert cli.main(["--defs", str(defs), "drill", "shop", "--home", str(home)]) == 1
    assert "another process plays in" in capsys.readouterr().err


def test_a_model_without_windows_is_refused(tmp_path, capsys):
    home = ["--home", str(tmp_path / "home")]
    assert cli.main(["drill", "iris", *home]) == 1
    assert "iris has no windows" in capsys.readouterr().err


CLOSED = datetime(2026, 2, 1, tzinfo=UTC)


def watched(*alerts: tuple[str, str], **changes) -> Watched:
    """A window with alerts, each of a kind and at a moment."""
    nothing = dict.fromkeys(("control", "drift", "performance", "advice", "before", "after"))
    return Watched(
        window="2026-01-01",
        ticks=[],
        alerts=[{"kind": kind, "at": f"{at}:00+00:00", "message": "m"} for kind, at in alerts],
        closed=CLOSED,
        grid=WindowGrid("monthly", date(2025, 1, 1)),
        asked=1,
        **nothing,
        **changes,
    )


@pytest.mark.parametrize(
    ("at", "expected"), [("2026-02-01T00:30", 0), ("2026-02-28T23:59", 0), ("2026-04-01T00:30", 2)]
)
def test_windows_until_it_was_noticed_are_those_that_closed(at, expected):
    assert watched(("drift", at)).windows == expected


def test_only_an_alert_that_tells_of_the_fault_counts():
    alerts = (("drift", "2026-02-01T00:30"), ("data", "2026-02-01T01:00"))
    assert watched(*alerts).seconds == 1800
    assert watched(*alerts, kind="data").seconds == 3600
    assert watched(alerts[0], kind="data").noticed is None


def test_that_nobody_was_called_is_told():
    assert watched().told()[-1] == "nobody was called"
    assert watched(("drift", "2026-02-01T00:30")).told()[-1] == "alert (drift): m"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"windows": 0, "predictions": 26872, "seconds": 1800}, "no further windows, 26,872 "),
        ({"windows": 1, "seconds": 691200}, "1 further window, 8d"),
        ({"predictions": 33, "seconds": 589}, "33 predictions, 9.82min"),
        ({"seconds": 6775}, "1.88h"),
        ({"seconds": 0.126}, "0.1s"),
    ],
)
def test_the_time_to_detection_in_words(found, words):
    outcome = ScenarioOutcome(
        scenario="drift", injected="i", expected="e", happened=[], detected=True, wrong=[],
        passed=True, clock="played", **found,
    )  # fmt: skip
    assert detected_after(outcome).startswith(words)
    assert detected_after(outcome, clock=True) == f"{detected_after(outcome)} (played)"
    assert detected_after(outcome.model_copy(update={"detected": False})) == "not detected"
