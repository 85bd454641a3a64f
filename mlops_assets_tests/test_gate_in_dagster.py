"""The gate where it counts: whatever run asks, only an accepted and unchanged verdict promotes."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest

from mlops_assets.cli import main
from mlops_assets_tests.harness import (
    blur,
    checks,
    errors,
    materialized,
    of_week,
    visits,
    week,
    weekly,
)

REJECTED, ACCEPTED = week(5), week(7)
JUDGE = ["trained_model", "evaluation_report"]


def data():
    """Eight weeks whose labels are blurred: in 0 and 1 by half, in 3 and 4 nearly altogether."""
    return blur(blur(visits(8), [0, 1], 0.6), [3, 4], 0.9)


@pytest.fixture(scope="module")
def shop(shared_lab):
    """A mediocre champion v1; the data of a worse challenger (week 5) and a better one (week 7)."""
    lab = shared_lab
    lab.write(data())
    lab.declare(weekly())
    assert lab.fill(0, 7).success
    with lab.server():
        first = lab.run("lifecycle", week(2))
        assert first.success, errors(first)
        assert lab.aliases() == {"champion": 1}
        yield lab


@pytest.fixture(scope="module")
def rejected(shop):
    """The run that trained and judged the worse challenger v2."""
    return shop.run("lifecycle", REJECTED)


@pytest.fixture(scope="module")
def accepted(shop, rejected):
    """The better challenger v3, judged and accepted, not deployed yet."""
    result = shop.run("lifecycle", ACCEPTED, only=JUDGE)
    assert result.success, errors(result)
    verdict = shop.stored("evaluation_report", ACCEPTED).verdict
    assert verdict.verdict == "better"
    assert verdict.accepted
    return verdict


def refused(shop, window):
    """Run only the deployment of a window; its errors, after it neither promoted nor recorded."""
    before, journal = shop.aliases(), shop.journal.entries("shop")
    result = shop.run("lifecycle", window, only=["deployment"])
    assert not result.success
    assert materialized(result) == []
    assert shop.aliases() == before
    assert shop.journal.entries("shop") == journal
    return errors(result)


@pytest.fixture
def edit_report(shop):
    """Changes keys of a stored verdict on disk; undone after the test."""
    undo = []

    def edit(window, **changes):
        file = shop.file("evaluation_report", window)
        before = file.read_bytes()
        undo.append(lambda: file.write_bytes(before))
        document = json.loads(before)
        document["report"]["verdict"] |= changes
        document["report"]["rules"] = []  # a verdict against its rules can't even be read
        file.write_text(json.dumps(document), "utf-8")

    yield edit
    for restore in undo:
        restore()


def test_a_worse_challenger_fails_the_gate_with_verdict_and_reasons(shop, rejected):
    assert not rejected.success
    gate = checks(rejected)["evaluation_report/gate"]
    assert not gate.passed
    assert gate.severity is dg.AssetCheckSeverity.ERROR
    assert gate.metadata["verdict"].value == "worse"
    assert gate.metadata["challenger"].value == "v2"
    assert gate.metadata["champion"].value == "v1"
    assert "gain in log_loss -" in gate.description
    assert "margin 0.02" in gate.description


def test_after_a_failed_gate_nothing_is_deployed(shop, rejected):
    assert "deployment" not in materialized(rejected)
    assert shop.aliases() == {"champion": 1, "challenger": 2}
    assert [e.version for e in shop.journal.entries("shop") if e.state == "done"] == [1]
    assert shop.registry.version("shop", 2).tags["verdict"] == "worse"


def test_a_run_of_deployment_alone_does_not_promote_what_the_gate_rejected(shop, rejected):
    message = refused(shop, REJECTED)
    assert "shop v2 was not accepted (worse)" in message
    assert shop.aliases()["champion"] == 1


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("challenger_digest", "0" * 32, "the challenger's digest"),
        ("policy_hash", "0" * 32, "the gate's policy"),
        ("data_version", "0" * 32, "the hold-out's data version"),
        ("champion_version", None, "the champion's version"),
        ("challenger_version", 99, "no version 99"),
    ],
)
def test_a_forged_verdict_that_is_bound_to_something_else_does_not_promote(
    shop, rejected, edit_report, key, value, named
):
    edit_report(REJECTED, accepted=True, verdict="better", **{key: value})
    assert named in refused(shop, REJECTED)


def test_a_report_that_is_no_report_any_more_does_not_promote(shop, accepted, edit_report):
    edit_report(ACCEPTED, accepted="as you like it")
    assert "accepted" in refused(shop, ACCEPTED)
    shop.file("evaluation_report", ACCEPTED).write_bytes(b"")
    refused(shop, ACCEPTED)
    shop.file("evaluation_report", ACCEPTED).unlink()
    assert "was never materialized" in refused(shop, ACCEPTED)


@pytest.mark.parametrize(
    "change", [{"gate__margin": 0.5}, {"gate__alpha": 0.4}, {"gate__floor": {"roc_auc": 0.1}}]
)
def test_a_policy_that_was_edited_after_the_verdict_is_refused(shop, accepted, change):
    shop.declare(weekly(**change))
    try:
        message = refused(shop, ACCEPTED)
    finally:
        shop.declare(weekly())
    assert "the gate's policy changed since shop v3 was judged" in message


def test_a_champion_alias_that_was_moved_by_hand_is_refused(shop, accepted):
    shop.registry.set_alias("shop", "champion", 2)
    try:
        message = refused(shop, ACCEPTED)
    finally:
        shop.registry.set_alias("shop", "champion", 1)
    assert "v2" in message
    assert "v1" in message


def test_a_champion_that_changed_after_the_verdict_is_refused(shop, accepted):
    between = shop.run("lifecycle", week(6))
    assert between.success, errors(between)
    assert shop.aliases()["champion"] == 4
    try:
        message = refused(shop, ACCEPTED)
    finally:
        assert main(["rollback", "shop"]) == 0
    assert "the champion's version changed since shop v3 was judged (1 then, 4 now)" in message
    assert shop.aliases()["champion"] == 1


def test_a_hold_out_that_changed_after_the_verdict_is_refused(shop, accepted):
    changed = data()
    changed.loc[of_week(changed, 7), "minutes"] += 1
    shop.write(changed)
    assert shop.fill(7, 7).success
    try:
        message = refused(shop, ACCEPTED)
    finally:
        shop.write(data())
        assert shop.fill(7, 7).success
    assert "the hold-out's data version changed since shop v3 was judged" in message


def test_files_of_the_challenger_that_changed_after_the_verdict_are_refused(shop, accepted):
    folder = Path(urlsplit(shop.registry.version("shop", 3).source).path)
    assert folder.is_dir()
    (folder / "extra.txt").write_text("added later", "utf-8")
    try:
        message = refused(shop, ACCEPTED)
    finally:
        (folder / "extra.txt").unlink()
    assert "ArtifactError" in message
    assert "digest" in message


def test_a_better_challenger_is_promoted_and_after_a_rollback_not_again(shop, accepted, capsys):
    result = shop.run("lifecycle", ACCEPTED)
    assert result.success, errors(result)
    assert checks(result)["evaluation_report/gate"].passed
    assert checks(result)["deployment/endpoint"].passed
    assert shop.aliases() == {"champion": 3, "previous": 1}
    assert shop.stored("deployment", ACCEPTED).previous == 1

    assert main(["--defs", str(shop.folder), "rollback", "shop", "--why", "customers rang"]) == 0
    assert "v1 is champion again" in capsys.readouterr().out
    assert shop.aliases()["champion"] == 1

    again = shop.run("lifecycle", ACCEPTED)
    assert not again.success
    assert "shop v3 was rolled back" in errors(again)
    assert "customers rang" in errors(again)
    assert "deployment" not in materialized(again)
    assert shop.aliases()["champion"] == 1
    assert "shop v3 was rolled back" in refused(shop, ACCEPTED)
