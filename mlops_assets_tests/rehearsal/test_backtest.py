"""The loop over history: what each policy came to, against figures worked out by hand."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import FileLock
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from mlops_assets import cli
from mlops_assets.rehearsal.report import BacktestReport
from mlops_assets_tests.harness import START, of_week, visits, week, weekly

# With this seed the first model, and the one that learns the change, have the right level: chance
# alone gives the advisor nothing to correct.
WEEKS, ROWS, SEED = 6, 800, 3
FIRST, CHANGE, LAST = 2, 3, 5
FEATURES = ["interest", "minutes"]
ESTIMATOR = {"class": "sklearn.linear_model.LogisticRegression", "params": {"C": 100.0}}


def shop_data() -> pd.DataFrame:
    """Visits; from week ``CHANGE`` on interest keeps people from buying."""
    frame = visits(WEEKS, rows=ROWS, seed=SEED)
    late = frame["at"] >= pd.Timestamp(week(CHANGE), tz="UTC")
    chance = 1 / (1 + np.exp(2.0 * frame["interest"]))
    turned = (np.random.default_rng(5).random(len(frame)) < chance).astype(int)
    return frame.assign(bought=frame["bought"].where(~late, turned))


def declare(folder: Path, frame: pd.DataFrame | None = None, **changes) -> Path:
    """A declaration with its data; the folder that the command is given."""
    attributes = weekly(
        **{
            "estimator": ESTIMATOR,
            "training": {"windows": 1, "hold_out": 1},
            "monitoring__decay": {"drop": 0.1},
            "retrain": {"schedule": None, "on": ["decay"], "cooldown": "1d"},
            **changes,
        }
    )
    place = folder / attributes["name"]
    place.mkdir(parents=True)
    (shop_data() if frame is None else frame).to_csv(place / "data.csv", index=False)
    document = {"type": "mlops_assets.ModelLifecycle", "attributes": attributes}
    (place / "defs.yaml").write_text(yaml.safe_dump(document), "utf-8")
    return folder


def command(defs: Path, home: Path, first: int = FIRST, last: int = LAST, *more: str) -> list[str]:
    span = ["--from", week(first), "--to", week(last)]
    return ["--defs", str(defs), "backtest", "shop", *span, "--home", str(home), *more]


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its digest."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """One backtest over a change of the world, beside a production that has a window."""
    folder = tmp_path_factory.mktemp("backtest")
    defs = declare(folder / "defs")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLOPS_HOME", str(folder / "production"))
        storage = folder / "production" / "storage" / "shop" / "raw_data"
        storage.mkdir(parents=True)
        frame = shop_data()
        taken = frame[of_week(frame, 1)].reset_index(drop=True)
        taken["at"] = pd.to_datetime(taken["at"], utc=True).dt.as_unit("us")
        taken.to_parquet(storage / f"{week(1)}.parquet", index=False)
        before = digests(folder / "production")
        assert cli.main(command(defs, folder / "home")) == 0
        yield {
            "home": folder / "home",
            "defs": defs,
            "before": before,
            "after": digests(folder / "production"),
            "report": BacktestReport.model_validate_json(
                (folder / "home" / "report.json").read_text("utf-8")
            ),
        }


def of(report: BacktestReport, policy: str):
    """The outcome of a policy."""
    return next(p for p in report.policies if p.policy == policy)


def scores(trained: int, asked: int) -> tuple[np.ndarray, np.ndarray]:
    """What is true of a week, and what scikit-learn's model of another week says of it."""
    frame = shop_data()
    seen, held = frame[of_week(frame, trained)], frame[of_week(frame, asked)]
    model = LogisticRegression(C=100.0).fit(seen[FEATURES], seen["bought"])
    return held["bought"].to_numpy(), model.predict_proba(held[FEATURES])[:, 1]


def loss(trained: int, asked: int) -> float:
    """The loss of a model of one week on another."""
    return log_loss(*scores(trained, asked))


def test_never_answers_every_window_with_the_first_model(played):
    never = of(played["report"], "never")
    assert [w.versions for w in never.windows] == [{"v1": ROWS}] * 4
    assert [w.labelled for w in never.windows] == [ROWS] * 4
    found = [w.metric.value for w in never.windows]
    assert found == pytest.approx([loss(0, number) for number in range(FIRST, LAST + 1)])
    assert never.mean_metric == pytest.approx(np.mean(found))
    assert (never.asked, never.trained, never.promoted) == (0, 0, 0)


def test_always_trains_for_each_window_through_the_same_gate(played):
    always = of(played["report"], "always")
    # The week before `--from` is what the first champion was judged on: nothing new.
    retrains = [r for w in always.windows for r in w.retrains]
    assert retrains[0].came_to == "nothing_new"
    assert [r.window for r in retrains] == [week(n) for n in range(1, LAST)]
    assert {r.trigger for r in retrains} == {"schedule"}
    # Trained on the world before and judged on the one after: refused by the floor.
    refused = {r.window: r.verdict for r in retrains if r.came_to == "refused"}
    assert refused == {week(CHANGE): "below_floor"}


def test_the_declared_policy_retrains_when_the_labels_say_so(played):
    declared = of(played["report"], "declared")
    by_window = {w.window: w for w in declared.windows}
    found = [w.performance for w in declared.windows]
    assert found == ["healthy", "decayed", "decayed", "healthy"]
    assert by_window[week(CHANGE)].retrains[0].trigger == "decay"
    assert by_window[week(CHANGE)].retrains[0].report_window == week(CHANGE)
    promoted = [r for w in declared.windows for r in w.retrains if r.came_to == "promoted"]
    assert promoted, "the new world is learnt in the end"
    # A visit each 12.6 minutes: three before the watch finds out, half an hour after midnight.
    assert by_window[week(LAST)].versions == {"v1": 3, f"v{promoted[-1].version}": ROWS - 3}
    truth, learnt = scores(_trained_on(promoted[-1]), LAST)
    first = scores(0, LAST)[1]
    expected = log_loss(truth, np.concatenate([first[:3], learnt[3:]]))
    assert by_window[week(LAST)].metric.value == pytest.approx(expected)
    calm = declared.windows[0]
    assert not calm.retrains
    assert any("nothing to do: healthy" in said.words for said in calm.said)


def _trained_on(retrain) -> int:
    """The week before the one that a version was judged on."""
    return (datetime.fromisoformat(retrain.window).date() - START).days // 7 - 1


def test_the_change_is_read_from_never_and_found_as_soon_as_its_labels_are_there(played):
    report = played["report"]
    assert report.changes == [week(CHANGE)]
    assert report.changes_from == "never"
    for policy in report.policies:
        (found,) = policy.detections
        assert (found.window, found.windows) == (week(CHANGE), 0)
        # The watch reports half an hour after the window closed.
        assert found.days == pytest.approx(7 + 0.5 / 24)
        assert all(a.true for a in policy.alarms if a.window == week(CHANGE))
        assert policy.false_alarms == 0
    # A frozen model is alarmed about for as long as it serves.
    decayed = [a.window for a in of(report, "never").alarms if a.kind == "decay"]
    assert decayed == [week(number) for number in range(CHANGE, LAST + 1)]


def test_differences_are_those_of_the_windows(played):
    report = played["report"]
    first = report.differences[0]
    assert (first.ours, first.theirs, first.figure) == ("declared", "never", "log_loss")
    declared, never = of(report, "declared"), of(report, "never")
    expected = {
        mine.window: other.metric.value - mine.metric.value
        for mine, other in zip(declared.windows, never.windows, strict=True)
    }
    assert first.by_window == pytest.approx(expected)
    assert first.mean == pytest.approx(np.mean(list(expected.values())))
    assert first.low < first.mean < first.high
    assert first.low > 0, "retraining was worth it beyond the chance of the rows"
    assert first.same == sum(v == 0 for v in expected.values()) >= 3


def test_nothing_of_production_is_written_and_its_windows_are_taken(played):
    assert played["after"] == played["before"]
    # Raw data of weeks 0 to 5; one was in production.
    assert played["report"].data == {"taken": 1, "read": 5, "features": 6, "played": 4}


def test_the_alerts_of_a_copy_reach_nobody_and_are_kept(played, capsys):
    lines = (played["home"] / "declared" / "alerts.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == of(played["report"], "declared").alerts > 0
    assert json.loads(lines[0])["at"].startswith(week(CHANGE + 1))


def test_runs_are_in_dagster_as_of_their_own_time(played):
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(played["home"] / "always" / "dagster")) as instance:
        records = instance.get_run_records(limit=1000)
        times = {
            r.create_timestamp.date().isoformat()
            for r in records
            if r.dagster_run.tags.get("mlops/trigger") == "schedule"
        }
    assert times == {week(number) for number in range(FIRST, LAST + 1)}


def test_the_page_is_one_file_that_needs_nothing_else(played):
    text = (played["home"] / "report.html").read_text("utf-8")
    assert text.count("<img") == 1
    assert "data:image/png;base64," in text
    words_alone = re.sub(r'"data:image/png;base64,[^"]*"', "", text)
    assert "http" not in words_alone.replace("http-equiv", "")
    for words in ("never", "always", "declared", week(CHANGE), "below floor"):
        assert words in text


def test_asked_again_it_only_reports(played, capsys):
    assert cli.main(command(played["defs"], played["home"], FIRST, LAST, "--json")) == 0
    out, told = capsys.readouterr()
    again = BacktestReport.model_validate_json(out)
    assert again.policies == played["report"].policies
    assert told == "", "no step is left to be told of"


def test_a_truth_that_is_told_judges_the_alarms(played, capsys):
    told = command(played["defs"], played["home"], FIRST, LAST, "--json", "--truth", week(4))
    assert cli.main(told) == 0
    report = BacktestReport.model_validate_json(capsys.readouterr().out)
    assert (report.changes, report.changes_from) == ([week(4)], "declared")
    never = of(report, "never")
    assert {a.window: a.true for a in never.alarms if a.kind == "decay"} == {
        week(3): False,
        week(4): True,
        week(5): True,
    }
    assert never.false_alarms == 1
    assert never.quiet_windows == 2


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_comes_to_the_same(played, tmp_path):
    asked = [sys.executable, "-m", "mlops_assets.cli", *command(played["defs"], tmp_path / "home")]
    environment = os.environ | {"MLOPS_HOME": str(tmp_path / "production")}
    kills = ("declared: ", "retrains", "always: ")
    for wanted in kills:
        process = subprocess.Popen(
            asked, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for line in process.stderr:
            if line.startswith(wanted) or (wanted == "retrains" and "shop_lifecycle" in line):
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = BacktestReport.model_validate_json((tmp_path / "home" / "report.json").read_text())
    assert [_without_ids(p) for p in report.policies] == [
        _without_ids(p) for p in played["report"].policies
    ]


def _without_ids(policy):
    """An outcome without what differs from one play to the next: ids of reports in words."""
    windows = [w.model_copy(update={"said": []}) for w in policy.windows]
    return policy.model_copy(update={"windows": windows})


# --- what can't be played -------------------------------------------------------------------


@pytest.fixture
def defs(tmp_path, home):
    return declare(tmp_path / "defs")


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-01-20", week(5), "--from: shop: no weekly window starts on 2026-01-20"),
        (week(1), week(5), "1 windows with complete labels lie before it, and a model needs 2"),
        (week(5), week(3), f"--from {week(5)} is after --to {week(3)}"),
        ("soon", week(5), "--from: shop: window 'soon' is not a date"),
    ],
)
def test_windows_that_cant_be_played_are_told(defs, tmp_path, capsys, first, last, words):
    asked = ["--defs", str(defs), "backtest", "shop", "--from", first, "--to", last]
    assert cli.main([*asked, "--home", str(tmp_path / "copy")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_an_unknown_model_is_told(defs, capsys):
    asked = ["--defs", str(defs), "backtest", "shoe", "--from", week(2), "--to", week(3)]
    assert cli.main(asked) == 1
    assert "no model 'shoe'; declared: shop" in capsys.readouterr().err


def test_a_window_that_is_not_over_is_told(tmp_path, home, capsys):
    monday = datetime.now(UTC).date() - timedelta(days=datetime.now(UTC).weekday())
    defs = declare(tmp_path / "defs", start=(monday - timedelta(weeks=8)).isoformat())
    first, last = (monday - timedelta(weeks=4)).isoformat(), monday.isoformat()
    asked = ["--defs", str(defs), "backtest", "shop", "--from", first, "--to", last]
    assert cli.main(asked) == 1
    assert "the window is not over before" in capsys.readouterr().err


def test_a_model_without_windows_is_told(tmp_path, home, capsys):
    defs = declare(tmp_path / "defs", cadence="none", start=None, training={"hold_out": 0.3})
    asked = ["--defs", str(defs), "backtest", "shop", "--from", week(2), "--to", week(3)]
    assert cli.main(asked) == 1
    assert "shop has no windows: there is no history to play" in capsys.readouterr().err


def test_windows_without_data_are_named(tmp_path, home, capsys):
    frame = shop_data()
    defs = declare(tmp_path / "defs", frame[~of_week(frame, 3) & ~of_week(frame, 5)])
    assert cli.main(command(defs, tmp_path / "copy", 2, 5)) == 1
    told = capsys.readouterr().err
    assert week(3) in told
    assert week(5) in told
    assert week(4) not in told.splitlines()[-1]


def test_windows_that_break_their_contract_are_named_with_the_reason(tmp_path, home, capsys):
    frame = shop_data()
    frame.loc[of_week(frame, 3).idxmax(), "bought"] = None
    defs = declare(tmp_path / "defs", frame)
    assert cli.main(command(defs, tmp_path / "copy", 2, 4)) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"shop/raw_data is not there for {week(3)}: contract: " in told
    assert week(2) not in told


def test_a_first_model_that_is_refused_is_told(tmp_path, home, capsys):
    defs = declare(tmp_path / "defs", gate__floor={"roc_auc": 0.99})
    assert cli.main(command(defs, tmp_path / "copy", 2, 3)) == 1
    told = capsys.readouterr().err
    assert f"the first model, for window {week(1)}, does not come to serve" in told
    assert "roc_auc" in told


def test_a_home_with_something_else_is_not_touched(played, tmp_path, capsys):
    before = digests(played["home"])
    assert cli.main(command(played["defs"], played["home"], FIRST, LAST - 1)) == 1
    assert "has another backtest (shop 2026-01-19 to 2026-02-09)" in capsys.readouterr().err
    assert digests(played["home"]) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert cli.main(command(played["defs"], tmp_path / "mine")) == 1
    assert "is not empty and has no backtest" in capsys.readouterr().err


def test_a_home_that_cant_be_made_is_told(defs, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(command(defs, tmp_path / "file" / "there")) == 1
    assert "there: Not a directory" in capsys.readouterr().err


def test_two_processes_do_not_play_in_one_home(played, capsys):
    with FileLock(played["home"] / "lock"):
        assert cli.main(command(played["defs"], played["home"])) == 1
    assert "another process plays in" in capsys.readouterr().err


def test_a_truth_that_is_not_played_is_told(played, capsys):
    asked = command(played["defs"], played["home"], FIRST, LAST, "--truth", week(12))
    assert cli.main(asked) == 1
    assert f"--truth {week(12)}: not one of the windows played" in capsys.readouterr().err
