"""The incident page through the command line and the Dagster job, on a shop with a bad week."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlops_assets.assets.incident import incident_definitions, sources_of
from mlops_assets.cli import main
from mlops_assets.definitions import resources
from mlops_assets.lifecycle.alerts import Alert
from mlops_assets.lifecycle.incident.gather import gather
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets.resources import FrameIOManager, Platform, ReportIOManager
from mlops_assets_tests.harness import Lab, errors, free_port, of_week, visits, week, weekly
from mlops_assets_tests.lifecycle.test_report_html import BROWSER, Page

TODAY = datetime.now(UTC).date()
START = TODAY - timedelta(days=TODAY.weekday() + 8 * 7)
WEEKS = 8
CALM, BAD = 6, 7
SCRIPT = "<script>document.title='pwned'</script>"
IMAGE = '"><img src=x onerror="document.title=\'pwned\'">'
FORMULA = "'; rm -rf ~ #"


def shop_frame() -> pd.DataFrame:
    """Visits of eight weeks; in the last, people care more, come in new ways, and buy at random."""
    frame = visits(WEEKS, start=START)
    rng = np.random.default_rng(5)
    frame["channel"] = rng.choice(["web", IMAGE], len(frame))
    bad = of_week(frame, BAD, START)
    frame.loc[bad, "interest"] += 1.5
    frame.loc[bad, "channel"] = rng.choice(["web", SCRIPT], bad.sum())
    frame.loc[bad, "bought"] = rng.integers(0, 2, bad.sum())
    frame.loc[bad, "customer"] = frame.loc[bad, "customer"] + IMAGE
    return frame


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(shared_lab) -> Lab:
    """v1 and v2 were promoted, a calm and a bad week were answered and reported on."""
    lab = shared_lab
    frame = shop_frame()
    lab.write(frame)
    lab.declare(weekly(start=START.isoformat(), description=SCRIPT, owners=["risk@example.com"]))
    assert lab.fill(0, WEEKS - 1).success
    with lab.server() as url:
        for number in (3, 5):
            result = lab.run("lifecycle", week(number, START))
            assert result.success, errors(result)
        for number in (CALM, BAD):
            lab.ask(url, frame[of_week(frame, number, START)])
            result = lab.run("monitoring", week(number, START))
            assert result.success, errors(result)
    _fail(lab)
    _alert(lab)
    return lab


def _fail(lab: Lab) -> None:
    """Two answers that failed, the second of a unit whose name is markup."""
    log = PredictionLog(lab.settings.prediction_log)
    now = datetime.now(UTC)
    for unit, latency in (("c1", 900.0), (SCRIPT, 1000.0)):
        asked = {"interest": 0.0, "minutes": 1.0, "channel": "web"}
        log.append([
            Record(new_prediction_id(), "shop", 2, "run", unit, now, now, asked, {}, {}, latency,
                   status=500)
        ])  # fmt: skip
    log.close()


def _alert(lab: Lab) -> None:
    """An alert by two channels, one of which took it."""
    outbox, now = Platform().outbox, datetime.now(UTC)
    alert = Alert(model="shop", kind="drift", message=f"drifted {SCRIPT}", link="http://x")
    for channel in ("mail", "slack"):
        outbox.add(alert, channel, timedelta(hours=1), now)
    outbox.sent(outbox.waiting("slack"), "slack", now.timestamp())


def gathered(lab: Lab, **asked):
    """What the page is made of."""
    platform = Platform()
    url = platform.settings.storage_url
    managers = ReportIOManager(base_url=url), FrameIOManager(base_url=url)
    return gather(sources_of(lab.spec, platform, *managers, list), **asked)


@pytest.fixture(scope="module")
def found(shop):
    return gathered(shop)


@pytest.fixture(scope="module")
def written(shop, tmp_path_factory) -> Path:
    """The page that the command wrote."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    assert main(["--defs", str(shop.folder), "incident", "shop", "--output", str(file)]) == 0
    return file


@pytest.fixture
def command(shop, tmp_path, capsys):
    """The command; its exit code, its page, output and errors."""

    def run(*options: str) -> tuple[int, str, str, str]:
        capsys.readouterr()
        file = tmp_path / "page.html"
        given = ["--defs", str(shop.folder), "incident", *options, "--output", str(file)]
        code = main(given)
        return code, file.read_text("utf-8") if file.exists() else "", *capsys.readouterr()

    return run


def told(html: str) -> str:
    """The text of a page."""
    return " ".join(Page(html).text.split())


def contents(home: Path) -> dict[str, bytes]:
    """Every file below a folder, without what only a lock or a reader of SQLite leaves."""
    passing = (".lock", "-wal", "-shm")
    files = (p for p in home.rglob("*") if p.is_file() and not p.name.endswith(passing))
    return {str(p.relative_to(home)): p.read_bytes() for p in files}


# --- what it says ----------------------------------------------------------------------------


def test_the_headline(shop, found):
    assert shop.aliases()["champion"] == found.serving.champion == 2
    assert found.window == week(BAD, START)
    assert found.serving.who.startswith("dagster run")
    (alarm,) = [a for a in found.alarms if a.gravity == "page"]
    assert alarm.window == found.window
    assert "the answers" in alarm.words
    assert "interest" in alarm.words


def test_where_a_rollback_goes_is_where_it_goes(shop, found):
    (first,) = found.candidates
    assert (first.version, first.target, first.files) == (1, True, "verified")
    assert found.rollback.target == 1
    judged = shop.stored("evaluation_report", week(3, START))
    assert first.verdict == judged.verdict.verdict == "first_model"
    assert first.hold_out == next(e for e in judged.challenger if e.metric == "log_loss")
    assert found.rollback.command.startswith("mlops-assets rollback shop ")
    assert found.rollback.job == "shop_rollback"
    assert shop.definitions.resolve_job_def(found.rollback.job)


def test_the_timeline_has_every_window_change_and_report(shop, found):
    assert [w.key for w in found.windows] == [week(n, START) for n in range(WEEKS)]
    calm, bad = found.windows[CALM], found.windows[BAD]
    assert (calm.drift, bad.drift, bad.prediction_drifted) == ("stable", "drifted", True)
    for state, number in ((calm, CALM), (bad, BAD)):
        assert state.realised == shop.stored("performance_report", week(number, START)).realised
    changes = [(e.action, e.version) for e in found.events if e.kind == "deployment"]
    assert changes == [("promote", 1), ("promote", 2)]
    assert [s.version for s in found.spans] == [1, 2]
    assert found.spans[0].end == found.spans[1].start


def test_an_alert_is_told_once_with_who_was_told(found):
    (alert,) = [e for e in found.events if e.kind == "alert"]
    assert (alert.action, alert.why) == ("drift", f"drifted {SCRIPT}")
    assert alert.who == "not yet told to mail, to slack"


def test_the_advice_is_the_newest_one(shop, found):
    stored = shop.stored("advice", week(BAD, START))
    assert (found.advice.action, found.advice.reasons) == (stored.action, stored.reasons)
    assert found.advice.void == ""


def test_an_advice_on_other_reports_than_those_at_hand_is_void(shop, damaged):
    file = shop.file("drift_report", week(BAD, START))
    stored = shop.stored("drift_report", week(BAD, START)).created_at.isoformat()
    text = file.read_text("utf-8").replace(stored.replace("+00:00", "Z"), "2020-01-01T00:00:00Z")
    assert text != file.read_text("utf-8")
    damaged(file, text.encode())
    assert "the drift report" in gathered(shop).advice.void


def test_what_is_missing_is_told_by_window(found):
    words = " ".join(found.missing["timeline"])
    assert f"no drift report for 6 windows: {week(0, START)} to {week(5, START)}" in words
    assert f"no advice report for 6 windows: {week(0, START)} to {week(5, START)}" in words


def test_drifted_columns_are_drawn_gravest_first(shop, found):
    report = shop.stored("drift_report", week(BAD, START))
    assert {c.column for c in found.columns} == {
        c.column for c in report.columns if c.verdict == "drifted"
    }
    assert found.columns[0].role == "prediction"
    drawn = {c.column: c.histogram for c in found.columns}
    live = shop.stored("live_predictions", week(BAD, START))
    edges = np.array(drawn["interest"].edges)
    inside = live["interest"].between(edges[1], edges[-2])
    counts = np.histogram(live["interest"][inside], edges[1:-1])[0]
    np.testing.assert_allclose(drawn["interest"].live[1:-1], counts / len(live))
    assert sum(drawn["interest"].reference) == pytest.approx(1)
    shares = dict(zip(drawn["channel"].labels, drawn["channel"].live, strict=True))
    assert shares[SCRIPT] == pytest.approx((live["channel"] == SCRIPT).mean())


def test_the_worst_false_positives_with_their_features_as_logged(shop, found):
    live = shop.stored("live_predictions", week(BAD, START))
    score = live["prediction"]
    wrong = live[(live["bought"] == 0) & (score > 0.5)]
    assert (found.mistakes.rows, found.mistakes.wrong) == (len(live), len(wrong))
    worst = wrong.sort_values("prediction", ascending=False).head(20)
    assert [c.prediction_id for c in found.mistakes.cases] == worst["prediction_id"].tolist()
    case, row = found.mistakes.cases[0], worst.iloc[0]
    assert dict(case.features) == {
        "interest": f"{row['interest']:.6g}",
        "minutes": f"{row['minutes']:.6g}",
        "channel": row["channel"],
    }
    assert (case.label, case.unit) == ("0", row["unit"])


def test_the_command_beside_an_answer_explains_it(shop, found, capsys):
    command = found.mistakes.cases[0].command.split()
    assert command[0] == "mlops-assets"
    assert main(command[1:]) == 0
    assert "the same to the bit" in capsys.readouterr().out


def test_live_rows_are_told_from_the_hold_out(shop, found):
    held = shop.stored("validated_features", week(5, START))
    live = shop.stored("live_predictions", week(BAD, START))
    assert "as stored" in found.resemblance.hold_out
    side = np.repeat([0, 1], [len(held), len(live)])
    # What one column alone tells, without any fitting, is the least that all tell together.
    alone = roc_auc_score(side, np.concatenate([held["interest"], live["interest"]]))
    assert found.resemblance.auc.value > alone > 0.8
    assert found.resemblance.auc.low > 0.5
    new = ~live["channel"].isin(held["channel"].unique())
    far = ~live["interest"].between(held["interest"].min(), held["interest"].max())
    long = ~live["minutes"].between(held["minutes"].min(), held["minutes"].max())
    assert found.resemblance.outside == pytest.approx((new | far | long).mean())
    shares = {c.column: c.share for c in found.resemblance.columns}
    assert shares["channel"] == pytest.approx(new.mean())


def test_a_calm_week_is_not_told_from_the_hold_out(shop):
    calm = gathered(shop, window=week(CALM, START))
    assert calm.columns == []
    assert calm.resemblance.auc.low < 0.55
    assert calm.resemblance.outside <= 3 * calm.resemblance.by_chance
    assert calm.mistakes.window == week(CALM, START)


def test_traffic_with_its_errors_by_version(shop, found):
    (row,) = found.traffic.rows
    records = PredictionLog(shop.settings.prediction_log).read("shop").records
    asked = [r for r in records if r.variant != "probe"]
    assert (row.version, row.answers, row.errors) == (2, len(asked), 2)
    latencies = [r.latency_ms for r in asked]
    assert row.p95 == pytest.approx(stats.scoreatpercentile(latencies, 95))
    assert {f.unit for f in found.traffic.failures} == {"c1", SCRIPT}


# --- the page --------------------------------------------------------------------------------


def test_the_command_writes_a_page_that_loads_and_runs_nothing(shop, written):
    html = written.read_text("utf-8")
    page = Page(html)
    dagster = shop.settings.dagster_url
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "form", "link", "base", "img")
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert not {"src", "style"} & {*attributes}
        assert attributes.get("href", "#").startswith(("#", f"{dagster}/"))
    assert "default-src 'none'" in page.policy()
    for text in (SCRIPT, IMAGE):
        assert text in page.text
    assert written.stat().st_mode & 0o077 == 0, "others may read it"
    assert len(html) < 200_000


def test_everything_gathered_is_on_the_page(written, found):
    text = told(written.read_text("utf-8"))
    for word in (*(w.key for w in found.windows), *(c.column for c in found.columns)):
        assert word in text
    for case in found.mistakes.cases:
        assert case.command in text
    for words in found.missing.values():
        assert all(each in text for each in words)
    assert f"{found.resemblance.auc.value:.4g}" in text
    assert found.candidates[0].served[0] in text
    assert all(reason in text for reason in found.advice.reasons)
    assert "They may be about people" in text


def test_the_page_changes_nothing(shop, command):
    before = contents(shop.settings.home)
    code, _, out, err = command("shop")
    assert (code, err) == (0, "")
    assert "mlops-assets rollback shop" in out
    assert contents(shop.settings.home) == before


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_browser_shows_it_and_runs_nothing(written, tmp_path):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'p'}"]
    done = subprocess.run(
        [BROWSER, *flags, "--dump-dom", written.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    assert "<title>shop: incident" in done.stdout
    assert "<title>pwned" not in done.stdout


# --- wrong words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["shpo"], "no model 'shpo' is declared"),
        (["shpo"], "did you mean 'shop'?"),
        (["shop", "--window", "2020-01-01"], "no weekly window starts on 2020-01-01"),
        (["shop", "--window", "yesterday"], "'yesterday' is not a date"),
        (["shop", "--since", "soon"], "'soon' is not a day"),
        (["shop", "--since", "2999-01-01"], "is in the future"),
        (["shop", "--since", (TODAY - timedelta(days=3)).isoformat()], "is after the window"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(command, options, words):
    code, html, _, err = command(*options)
    assert (code, html) == (1, "")
    assert words in err


def test_a_page_that_cannot_be_written_is_an_error(shop, capsys, tmp_path):
    given = ["--defs", str(shop.folder), "incident", "shop", "--output", str(tmp_path / "no" / "x")]
    assert main(given) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_since_cuts_the_timeline(shop):
    found = gathered(shop, since=START + timedelta(weeks=6))
    assert [w.key for w in found.windows] == [week(6, START), week(7, START)]


# --- when things are broken ------------------------------------------------------------------


@pytest.fixture
def damaged(shop):
    """Puts back afterwards what a test takes away from the home."""
    moved: list[tuple[Path, Path]] = []

    def damage(path: Path, content: bytes | None = None) -> None:
        kept = path.with_name(f"{path.name}.kept")
        path.rename(kept)
        moved.append((path, kept))
        if content is not None:
            path.write_bytes(content)

    yield damage
    for path, kept in reversed(moved):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        kept.rename(path)


@pytest.mark.parametrize(
    ("asset", "content", "words"),
    [
        ("drift_report", None, "without a drift report"),
        ("drift_report", b"{", "JSONDecodeError"),
        ("drift_report", b'{"type": "NoSuch", "report": {}}', "NoSuch"),
        ("performance_report", b"{}", "KeyError: 'type'"),
        ("live_predictions", None, "no live predictions are stored"),
        ("live_predictions", b"PAR1", "the live predictions of"),
    ],
)
def test_a_report_that_is_gone_or_damaged_is_told(shop, damaged, command, asset, content, words):
    damaged(shop.file(asset, week(BAD, START)), content)
    code, html, _, err = command("shop", "--window", week(BAD, START))
    assert (code, err) == (0, "")
    assert words in told(html)
    assert "v2 serves" in told(html)


def test_the_log_is_damaged(shop, damaged):
    folder = shop.settings.prediction_log / "shop"
    segment = next(f for f in sorted(folder.iterdir()) if f.suffix == ".log")
    damaged(segment, b"00000000 {}\n" + segment.read_bytes())
    found = gathered(shop)
    assert found.traffic is None
    assert "line 1" in found.missing["traffic"][0]


def test_files_of_a_candidate_that_were_changed_are_told(shop, damaged):
    source = Path(shop.registry.version("shop", 1).source.removeprefix("file://"))
    file = next(f for f in sorted(source.rglob("*")) if f.is_file())
    damaged(file, file.read_bytes() + b" ")
    (candidate,) = gathered(shop).candidates
    assert candidate.files != "verified"
    assert "shop v1" in candidate.files


def test_nothing_left_of_models_and_storage(shop, damaged, command):
    damaged(shop.settings.home / "storage")
    damaged(shop.settings.home / "mlartifacts")
    code, html, _, err = command("shop")
    assert (code, err) == (0, "")
    text = told(html)
    assert "v2 serves" in text
    assert "no window was ever watched" in text


def test_a_registry_that_does_not_answer_leaves_what_the_journal_knows(shop, command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, html, _, err = command("shop")
    assert (code, err) == (0, "")
    text = told(html)
    assert "v2 serves" in text
    assert "the registry can't be read: " in text
    assert "the reference of v2 can't be read: the registry does not answer" in text


# --- the job ---------------------------------------------------------------------------------


def run_job(shop: Lab, **config) -> dg.ExecuteInProcessResult:
    own = dg.Definitions.merge(
        incident_definitions(shop.folder), dg.Definitions(resources=resources())
    )
    return own.resolve_job_def("incident").execute_in_process(
        instance=shop.instance,
        raise_on_error=False,
        run_config={"ops": {"incident_page": {"config": config}}},
    )


def test_the_job_takes_the_name_alone_and_links_the_page(shop):
    before = contents(shop.settings.home)
    result = run_job(shop, model="shop")
    assert result.success, errors(result)
    (event,) = result.asset_materializations_for_node("incident_page")
    shown = dict(event.metadata)
    page = Path(shown["page file"].value)
    assert page.parent == shop.settings.home / "storage" / "shop" / "incident"
    assert "shop: incident" in told(page.read_text("utf-8"))
    run_id = shop.registry.version("shop", 2).run_id
    assert shown["page"].value.endswith(f"{run_id}/artifacts/incident/{page.name}")
    assert shown["rollback job"].value.endswith("/guess/shop_rollback")
    after = contents(shop.settings.home)
    assert {n for n in after if before.get(n) != after[n]} == {
        n for n in after if n.endswith(page.name)
    }
    run = shop.instance.get_run_by_id(result.run_id)
    assert run.tags["mlops/model"] == "shop"


def test_the_job_lists_runs_of_the_model_that_failed(shop):
    failed = shop.run("lifecycle", week(1, START))
    assert not failed.success
    result = run_job(shop, model="shop")
    assert result.success, errors(result)
    (event,) = result.asset_materializations_for_node("incident_page")
    page = Path(dict(event.metadata)["page file"].value)
    assert f"/runs/{failed.run_id}" in page.read_text("utf-8")


def test_the_job_names_the_nearest_model(shop):
    result = run_job(shop, model="shpo")
    assert not result.success
    assert "did you mean 'shop'?" in errors(result)
