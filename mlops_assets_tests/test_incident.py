"""The incident page through the command line and the Dagster job, on a shop with a bad week."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.assets.incident import sources_of
from mlops_assets.cli import main
from mlops_assets.lifecycle.incident.gather import gather
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets.resources import FrameIOManager, Platform, ReportIOManager
from mlops_assets_tests.harness import Lab, errors, of_week, visits, week, weekly
from mlops_assets_tests.lifecycle.test_report_html import Page

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


def gathered(lab: Lab, **asked):
    """What the page is made of."""
    platform = Platform()
    url = platform.settings.storage_url
    managers = ReportIOManager(base_url=url), FrameIOManager(base_url=url)
    return gather(sources_of(lab.spec, platform, *managers, list), **asked)


@pytest.fixture(scope="module")
def found(shop):
    return gathered(shop)


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
    champion = shop.aliases()["champion"]
    assert (
        (found.serving.champion, found.window) == (champion, week(BAD, START)) == (2, found.window)
    )
    assert found.serving.who.startswith("dagster run")
    assert [a.gravity for a in found.alarms][0] == "page"
    assert any("interest" in a.words and a.window == found.window for a in found.alarms)
