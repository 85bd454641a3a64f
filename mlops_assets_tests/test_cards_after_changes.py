"""Model cards after each change of what serves, and changes whose card can't be written."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.cli import main
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets_tests.harness import errors, visits, week, weekly

JUDGED = ["trained_model", "evaluation_report"]
APPROVED = [("approve", "v1"), ("promote", "v1")]
REPLACED = [("approve", "v2"), ("promote", "v2")]


def cli(lab, *arguments):
    return main(["--defs", str(lab.folder), *arguments])


def judge(lab, number, **changes):
    lab.declare(weekly(gate__approval="required", gate__margin=0.2, **changes))
    result = lab.run("lifecycle", week(number), only=JUDGED)
    assert result.success, errors(result)


def decide(lab, kind):
    """Launch a job with a reason; the run, and the errors that its log shows."""
    job = lab.definitions.resolve_job_def(f"shop_{kind}")
    config = {"ops": {kind: {"config": {"reason": "a test"}}}}
    result = job.execute_in_process(instance=lab.instance, raise_on_error=False, run_config=config)
    entries = lab.instance.all_logs(result.run_id)
    return result, [e.user_message for e in entries if e.level == 40 and not e.is_dagster_event]


@contextmanager
def no_card_of(lab, number):
    """A version whose card can't be written: a file lies where its folder goes."""
    run = lab.registry.client.get_run(lab.registry.version("shop", number).run_id)
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / "model_card"
    kept = folder.rename(folder.with_name("kept"))
    folder.write_text("", "utf-8")
    try:
        yield
    finally:
        folder.unlink()
        kept.rename(folder)


@pytest.fixture(scope="module")
def shop(shared_lab):
    """v1 and then v2 let in on a person's word; v3 waits, judged on v2's window."""
    lab = shared_lab
    lab.write(visits(4))
    lab.declare(weekly())
    assert lab.fill(0, 3).success
    judge(lab, 2)
    assert cli(lab, "approve", "shop", "--reason", "a first") == 0
    judge(lab, 3)
    assert cli(lab, "approve", "shop", "--reason", "a better one") == 0
    judge(lab, 3, estimator__params={"C": 0.5})
    return lab


def test_cards_follow_every_change(shop, capsys):
    lab = shop
    assert lab.aliases()[CHAMPION] == 2
    assert lab.decisions(1) == APPROVED + REPLACED
    assert lab.decisions(2) == REPLACED

    assert cli(lab, "refuse", "shop", "--reason", "no need") == 0
    assert lab.decisions(3) == [("refuse", "v3")]
    assert lab.decisions(2) == [*REPLACED, ("refuse", "v3")]
    card = lab.registry.client.get_model_version("shop", "2").description
    assert "Another version was judged on the same window since" in card
    assert "- verdict: non inferior" in card, "v3's report has the place of v2's"

    with no_card_of(lab, 1):
        capsys.readouterr()
        assert cli(lab, "rollback", "shop", "--why", "it got worse") == 0
        said = capsys.readouterr()
    assert lab.aliases() == {CHAMPION: 1}
    assert said.out == "shop: v1 is champion again, v2 is not\n"
    assert "the model card of shop v1 is not renewed (" in said.err
    assert "`mlops-assets card shop@1 --publish`" in said.err
    assert "shop v2" not in said.err
    assert lab.decisions(2)[-1] == ("rollback", "v1")
    assert lab.decisions(1) == APPROVED + REPLACED
    assert cli(lab, "card", "shop@1", "--publish") == 0
    assert lab.decisions(1) == [*APPROVED, *REPLACED, ("rollback", "v1")]

    with no_card_of(lab, 1):
        result, shown = decide(lab, "retire")
    assert result.success, "a card takes nothing back"
    (words,) = shown
    assert "the model card of shop v1 is not renewed (" in words
    assert lab.aliases() == {}
    result, shown = decide(lab, "reinstate")
    assert result.success, errors(result)
    assert shown == []
    assert lab.decisions(1)[-2:] == [("retire", "v1"), ("reinstate", "v1")]


def test_a_change_of_a_model_that_nobody_declares_any_more_is_done(shop, tmp_path, capsys):
    capsys.readouterr()
    assert main(["--defs", str(tmp_path), "retire", "shop", "--reason", "gone"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("shop: retired since ")
    assert "no model 'shop' is declared" in said.err
    assert shop.aliases() == {}
