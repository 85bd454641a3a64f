"""The inventory through the command line, on a real registry and journal."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import yaml

from mlops_assets.cli import main
from mlops_assets.lifecycle.rollout.promotion import promote
from mlops_assets.lifecycle.rollout.retirement import retire
from mlops_assets_tests.harness import weekly
from mlops_assets_tests.lifecycle.test_rollout import DATA, MODEL, POLICY, Shop, trained  # noqa: F401

TODAY = datetime.now(UTC).date()
FORMULA = "=HYPERLINK(1)"


@pytest.fixture
def shop(registry, trained) -> Shop:  # noqa: F811
    """v1 and v2 were promoted, and v2 rolled back."""
    made = Shop(registry, trained)
    for _ in range(2):
        made.promote(made.register())
    made.rollback()
    return made


@pytest.fixture
def ask(tmp_path, capsys):
    """The command, with two declared models; returns its exit code, output and errors."""
    for name in (MODEL, "planned"):
        folder = tmp_path / "defs" / name
        folder.mkdir(parents=True)
        attributes = weekly(name, description=f"What {name} is for", owners=["risk@example.com"])
        document = {"type": "mlops_assets.ModelLifecycle", "attributes": attributes}
        (folder / "defs.yaml").write_text(yaml.safe_dump(document), "utf-8")

    def run(*options: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--defs", str(tmp_path / "defs"), "inventory", *options])
        return code, *capsys.readouterr()

    return run


def listed(ask, *options: str) -> dict[str, dict]:
    code, out, _ = ask("--format", "json", *options)
    assert code == 0
    return {model["model"]: model for model in json.loads(out)["models"]}


def test_a_model_in_production_with_its_word_and_its_changes(shop, ask):
    found = listed(ask)[MODEL]
    assert found["status"] == "in_production"
    assert found["version"] == 1
    assert found["purpose"] == "What shop is for"
    assert found["owners"] == ["risk@example.com"]
    assert found["why"] == "rollback: it got worse"
    assert [(c["action"], c["version"]) for c in found["changes"]] == [
        ("promote", 1),
        ("promote", 2),
        ("rollback", 1),
    ]
    assert found["first_served"] < found["since"]


def test_a_retired_model_stays_on_the_list_with_its_last_word(shop, ask):
    retire(shop.registry, shop.journal, MODEL, who="Ada", why="nobody asks it any more")
    found = listed(ask)[MODEL]
    assert (found["status"], found["version"], found["who"]) == ("retired", 1, "Ada")
    assert found["why"] == "retire: nobody asks it any more"
    assert [c["action"] for c in found["changes"]][-1] == "retire"


def test_declared_and_never_trained_or_registered_and_not_declared(shop, ask):
    shop.registry.client.create_registered_model("stranger")
    found = listed(ask)
    assert list(found) == ["planned", MODEL, "stranger"]
    assert (found["planned"]["status"], found["planned"]["version"]) == ("not_in_production", None)
    assert found["planned"]["declared"]
    assert not found["stranger"]["declared"]


def test_changes_of_a_period_by_whole_days(shop, ask):
    day = timedelta(days=1)
    for since, until, changes in (
        (TODAY, TODAY, 3),
        (TODAY - day, TODAY, 3),
        (TODAY + day, TODAY + day, 0),
        (TODAY - 2 * day, TODAY - day, 0),
    ):
        period = ("--since", since.isoformat(), "--until", until.isoformat())
        assert len(listed(ask, *period)[MODEL]["changes"]) == changes, period
        changed = listed(ask, *period, "--changed")
        assert list(changed) == ([MODEL] if changes else [])


def test_a_period_that_ends_before_it_begins_is_refused(shop, ask):
    code, out, err = ask("--since", "2026-02-01", "--until", "2026-01-01")
    assert (code, out) == (1, "")
    assert "the period ends (2026-01-01) before it begins (2026-02-01)" in err


def test_csv_holds_every_model_and_no_formula(shop, ask):
    report = shop.judged(3, 1)
    assert shop.register() == 3
    promote(shop.registry, shop.journal, report, policy_hash=POLICY, data_version=DATA, who=FORMULA)
    _, out, _ = ask("--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["model"] for row in rows] == ["planned", MODEL]
    assert rows[1]["who"] == f"'{FORMULA}"
    assert rows[1]["version"] == "3"
    assert f"promote v3 by {FORMULA}: " in rows[1]["changes"]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@" and cell]


def test_the_table_shows_words_as_they_are(shop, ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    report = shop.judged(3, 1, reasons=["[red]hidden[/red]"])
    assert shop.register() == 3
    shop.promote(3, report)
    _, out, _ = ask()
    assert "in production, v3" in out
    assert "[red]hidden[/red]" in "".join(line.strip("│ ") for line in out.splitlines())


def test_an_edited_journal_is_no_source_of_an_inventory(shop, ask):
    with sa.create_engine(shop.journal.url).begin() as connection:
        connection.exec_driver_sql("UPDATE rollout_journal SET who = 'nobody' WHERE seq = 2")
    code, out, err = ask()
    assert (code, out) == (1, "")
    assert "the chain breaks at row 2" in err
