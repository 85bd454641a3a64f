"""The page on an evaluation, read as a browser reads it; names and values try to break out."""

import base64
import hashlib
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.evaluation import Candidate, evaluate
from mlops_assets.lifecycle.explaining.explain import explain
from mlops_assets.lifecycle.fingerprint import row_hashes
from mlops_assets.lifecycle.model_card import ModelCard, model_card
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.report_html.evaluation import evaluation_page
from mlops_assets.lifecycle.reports import TrainedModel
from mlops_assets.lifecycle.rollout.journal import Entry
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets_tests.harness import visits, week, weekly

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SCRIPT = "<script>document.title='pwned'</script>"
IMAGE = '"><img src=x onerror="document.title=\'pwned\'">'
LINK = "[click](javascript:alert(1)) ![x](http://evil.example/x.png)"
# A product that no clock and no figure of the page shows by itself.
TEMPLATE, EVALUATED = "{{ 48271 * 69621 }}", str(48271 * 69621)
HOSTILE = (SCRIPT, IMAGE, TEMPLATE, LINK, "' onload='alert(1)")


class Page(HTMLParser):
    """Elements with their attributes, and the text outside the style sheet."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.style, self._inside = "", "", False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag == "style"

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.style += data
        else:
            self.text += data

    def policy(self) -> str:
        return next(
            a["content"]
            for tag, a in self.elements
            if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
        )


def windows() -> dict[str, pd.DataFrame]:
    frame = visits(3, 300)
    rng = np.random.default_rng(0)
    frame[SCRIPT] = rng.choice(HOSTILE, len(frame))
    frame["customer"] = frame["customer"] + IMAGE
    return {week(i): frame[i * 300 : (i + 1) * 300].reset_index(drop=True) for i in range(3)}


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return ModelSpec.model_validate(
        weekly(
            description=SCRIPT,
            owners=["risk@example.com"],
            card={"intended_use": LINK, "limitations": [IMAGE], "out_of_scope": ["credit"]},
        )
    )


@pytest.fixture(scope="module")
def report(spec):
    """An evaluation with a champion of whom one class of answers differs."""
    seen, held = training.split(spec, windows())
    rows = training.join_windows(seen)

    def candidate(number: int, frame: pd.DataFrame, until: datetime) -> Candidate:
        estimator = training.fit(spec, frame)
        version = Version("shop", number, "", "", {"digest": f"d{number}"}, 0)
        return Candidate(version, estimator, row_hashes(frame), until)

    challenger = candidate(2, rows, datetime(2026, 1, 19, tzinfo=UTC))
    champion = candidate(1, seen[week(0)], datetime(2026, 1, 12, tzinfo=UTC))
    judged = evaluate(spec, week(2), seen, held, challenger, champion)
    explanation = explain(spec, seen, held, challenger, champion)
    return judged.model_copy(update={"explanation": explanation})


@pytest.fixture(scope="module")
def record() -> TrainedModel:
    return TrainedModel(
        model="shop",
        version=2,
        run_id="run",
        digest="d2",
        fingerprint="f",
        data_version="training-data",
        code_version="code",
        environment="env",
        git_commit="abcdef",
        window=week(2),
        training_windows=[week(0), week(1)],
        trained_until=datetime(2026, 1, 19, tzinfo=UTC),
        rows=600,
        features=["interest", "minutes", SCRIPT],
        params={"C": SCRIPT},
        metrics={},
        dagster_run_id="dagster",
        created_at=datetime.now(UTC),
    )


@pytest.fixture(scope="module")
def html(spec, report, record) -> str:
    figure = Figure()
    figure.subplots().plot([1, 2])
    return evaluation_page(spec, report, record, {SCRIPT: figure})


@pytest.fixture(scope="module")
def card(spec, report, record) -> ModelCard:
    words = Entry("shop", "promote", 2, 1, 1, "dagster run", SCRIPT, state="done", at="2026-01-20")
    return model_card(spec, record, report, [words])


def assert_harmless(page: Page) -> None:
    """Nothing runs, nothing is fetched, nothing leads away."""
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "form", "link", "base"), tag
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert attributes.get("href", "#").startswith("#"), attributes
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert "style" not in attributes, (tag, attributes)
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_hostile_names_values_and_words_stay_text(html):
    page = Page(html)
    assert_harmless(page)
    for text in HOSTILE:
        assert text in page.text
    assert EVALUATED not in page.text


def test_a_model_card_is_as_harmless(card):
    page = Page(card.html())
    assert_harmless(page)
    for text in (SCRIPT, IMAGE, LINK):
        assert text in page.text


def test_the_policy_allows_the_one_style_sheet_and_images_inside_the_page(html):
    page = Page(html)
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert page.policy().split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_everything_that_was_found_is_on_the_page(html, report, record):
    text = " ".join(Page(html).text.split())
    for reason in report.verdict.reasons:
        assert reason in text
    for estimate in (*report.challenger, *report.champion):
        assert f"{estimate.value:.3g}" in text
    for importance in report.explanation.importance:
        assert f"{importance.loss.value:.3g}" in text
    for row in report.explanation.slices:
        assert f"{row.challenger.value:.4g}" in text
    changed = report.explanation.changes.groups[0]
    assert f"{changed.changed} of 300 answers are another class" in text
    for fact in (record.data_version, record.git_commit, report.verdict.policy_hash):
        assert fact in text


def test_every_chart_stays_inside_its_frame(html):
    for tag, attributes in Page(html).elements:
        if tag == "line":
            assert 0 <= float(attributes["x1"]) <= float(attributes["x2"]) <= 640
        if tag == "circle":
            assert 0 <= float(attributes["cx"]) <= 640


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({}, "Partial dependence"),
        ({"importance": "it has <no> columns", "linear": "unnamed"}, "it has <no> columns"),
    ],
)
def test_a_model_without_coefficients_champion_or_columns_has_a_page(
    spec, report, record, missing, words
):
    bare = {"linear": None, "changes": None, "missing": missing}
    if missing:
        bare |= {"importance": [], "dependence": [], "slices": []}
    explanation = report.explanation.model_copy(update=bare)
    for told in (explanation, None):
        judged = report.model_copy(
            update={"explanation": told, "champion": [], "comparison": None, "rules": []}
        )
        page = Page(evaluation_page(spec, judged, record, {}))
        assert_harmless(page)
        assert (words in page.text) == (told is not None)


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("injected", ["", SCRIPT + IMAGE.removeprefix('">')])
def test_a_browser_runs_nothing_even_of_what_was_not_escaped(html, tmp_path, injected):
    file = tmp_path / "report.html"
    file.write_text(html.replace("<main>", f"<main>{injected}"), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'p'}"]
    done = subprocess.run(
        [BROWSER, *flags, "--virtual-time-budget=2000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "<title>shop v2" in done.stdout
    assert "<title>pwned" not in done.stdout
    if injected:
        unprotected = re.sub(r"<meta http-equiv[^>]*>", "", file.read_text("utf-8"))
        file.write_text(unprotected, "utf-8")
        done = subprocess.run(
            [BROWSER, *flags, "--virtual-time-budget=2000", "--dump-dom", file.as_uri()],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "<title>pwned" in done.stdout, "the test itself must be able to tell"


# --- the card -------------------------------------------------------------------------------


def section(card: ModelCard, title: str) -> str:
    """A section's Markdown."""
    text = card.markdown()
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_markdown_of_a_card_has_no_markup_but_its_own(card):
    drawn = MarkdownIt("commonmark", {"html": True}).enable("table").render(card.markdown())
    page = Page(drawn)
    assert {tag for tag, _ in page.elements} == {
        *("h1", "h2", "p", "ul", "li"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    for text in (SCRIPT, IMAGE, LINK):
        assert text in page.text
    for line in section(card, "Slices").splitlines():
        assert not line or line.count("|") - line.count("\\|") == 5, line


def test_a_card_says_what_lineage_knows(card, report):
    assert "2026-01-05 to 2026-01-12 (2)" in section(card, "Training data")
    assert "training-data" in section(card, "Training data")
    assert "risk@example.com" in section(card, "Purpose")
    assert "Not to be used for: credit" in section(card, "Limits")
    assert "Judged on one window (2026-01-19)" in section(card, "Limits")
    assert report.verdict.verdict.replace("_", " ") in section(card, "Evaluation")
    assert "promote" in section(card, "Decisions")
    assert "abcdef" in section(card, "Origin")
    for estimate in report.challenger:
        assert f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})" in section(
            card, "Metrics"
        )


def test_a_card_of_a_version_that_nobody_judged_says_so(spec, record):
    card = model_card(spec, record, None, [])
    assert "was not judged yet" in section(card, "Evaluation")
    assert "Nobody has decided" in section(card, "Decisions")
    assert "## Metrics" not in card.markdown()


def test_a_short_card_ends_between_sections(card):
    short = card.markdown(1500)
    assert len(short) <= 1500
    assert card.markdown().startswith(short)
    assert len(short.splitlines()) > 5
