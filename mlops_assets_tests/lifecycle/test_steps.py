"""Bringing a version to its users step by step: what serves, crashes between any two writes."""

import pytest

from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError, RolloutError
from mlops_assets.lifecycle.registry import CANARY, CHAMPION, PREVIOUS, SHADOW
from mlops_assets.lifecycle.rollout import steps
from mlops_assets.lifecycle.rollout.history import former_champion, refused_for_good, under_way
from mlops_assets_tests.lifecycle import test_rollout
from mlops_assets_tests.lifecycle.test_rollout import (
    DATA,
    MODEL,
    POLICY,
    WHO,
    DyingJournal,
    DyingRegistry,
    Fuse,
    dies_after,
)

trained, shop = test_rollout.trained, test_rollout.shop
WHY = "the test says so"


def begin(shop, number, share=0.05, champion=1, **changes):
    return steps.begin(
        shop.registry,
        shop.journal,
        shop.judged(number, champion, **changes),
        strategy="shadow" if share == 0 else "canary",
        share=share,
        policy_hash=POLICY,
        data_version=DATA,
        who=WHO,
    )


def advance(shop, version, share):
    return steps.advance(
        shop.registry,
        shop.journal,
        MODEL,
        version,
        share=share,
        who=WHO,
        why=WHY,
        evidence={"error_rate": 0.2},
    )


def abort(shop, version=2):
    return steps.abort(shop.registry, shop.journal, MODEL, version, who=WHO, why=WHY)


def share_of(shop, number):
    return shop.registry.version(MODEL, number).tags.get("share")


@pytest.fixture
def on_its_way(shop):
    """v1 is champion, v2 its canary at 5 %."""
    shop.promote(shop.register())
    begin(shop, shop.register())
    return shop


def test_a_canary_goes_up_step_by_step_and_becomes_champion(on_its_way):
    shop = on_its_way
    assert shop.aliases == {CHAMPION: 1, CANARY: 2}
    assert share_of(shop, 2) == "0.05"
    advance(shop, 2, 0.5)
    assert shop.aliases == {CHAMPION: 1, CANARY: 2}
    assert share_of(shop, 2) == "0.5"
    rollout = under_way(shop.journal, MODEL)
    assert (rollout.version, rollout.champion, rollout.strategy) == (2, 1, "canary")
    assert [p.share for p in rollout.periods] == [0.05, 0.5]
    assert rollout.periods[0].end == rollout.periods[1].start
    assert rollout.periods[1].end is None
    done = advance(shop, 2, 1.0)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert done.action == "promote"
    assert done.evidence["rollout"] == {"error_rate": 0.2}
    assert done.evidence["evaluation"] == "evaluation of v2"
    assert under_way(shop.journal, MODEL) is None
    assert shop.rollback().version == 1
    assert shop.aliases == {CHAMPION: 1}
    shop.journal.verify()


def test_a_canary_that_is_taken_back_leaves_the_champion_and_never_comes_again(on_its_way):
    shop = on_its_way
    abort(shop)
    assert shop.aliases == {CHAMPION: 1}
    assert refused_for_good(shop.journal, MODEL, 2).why == WHY
    for again in (begin, lambda shop, number: shop.promote(number)):
        with pytest.raises(RolloutError, match=r"v2 was rolled back on .*the test says so"):
            again(shop, 2)
    with pytest.raises(RolloutError, match="no version is on its way"):
        abort(shop)
    assert former_champion(shop.journal, MODEL, 1) is None


def test_what_was_seen_of_one_canary_takes_no_other_back(on_its_way):
    """Somebody was faster, and the next canary is there already."""
    on_its_way.rollback()
    third = on_its_way.register()
    begin(on_its_way, third)
    with pytest.raises(RolloutError, match="v3 is on its way, not v2"):
        abort(on_its_way, 2)
    assert on_its_way.aliases == {CHAMPION: 1, CANARY: 3}


def test_a_rollback_takes_the_canary_back_and_the_next_one_the_champion(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    begin(shop, shop.register(), champion=2)
    assert shop.rollback().action == "abort"
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert shop.rollback().action == "rollback"
    assert shop.aliases == {CHAMPION: 1}


def test_a_shadow_answers_nobody_and_may_become_a_canary(shop):
    shop.promote(shop.register())
    begin(shop, shop.register(), share=0)
    assert shop.aliases == {CHAMPION: 1, SHADOW: 2}
    advance(shop, 2, 0.25)
    assert shop.aliases == {CHAMPION: 1, CANARY: 2}
    advance(shop, 2, 1)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}


def test_beginning_again_changes_nothing(on_its_way):
    rows = on_its_way.journal.verify()
    assert begin(on_its_way, 2) == under_way(on_its_way.journal, MODEL)
    assert on_its_way.journal.verify() == rows


def test_one_version_at_a_time(on_its_way):
    third = on_its_way.register()
    for other in (begin, lambda shop, number: shop.promote(number)):
        with pytest.raises(RolloutError, match="v2 is on its way to its users at 5%"):
            other(on_its_way, third)
    assert on_its_way.aliases == {CHAMPION: 1, CANARY: 2}


def test_without_a_champion_there_is_nothing_to_compare_with(shop):
    with pytest.raises(RolloutError, match="no champion but shop v1 itself"):
        begin(shop, shop.register(), champion=None)


def test_a_canary_needs_a_verdict_that_stands(shop):
    shop.promote(shop.register())
    number = shop.register()
    with pytest.raises(EvidenceError, match=r"was not accepted \(worse\)"):
        begin(shop, number, accepted=False, verdict="worse")
    with pytest.raises(EvidenceError, match="the hold-out's data version changed"):
        begin(shop, number, data_version="data-2")
    test_rollout.edit(shop.folder(number))
    with pytest.raises(ArtifactError):
        begin(shop, number)
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 2


def test_files_that_change_on_the_way_stop_it(on_its_way):
    test_rollout.edit(on_its_way.folder(2))
    with pytest.raises(ArtifactError):
        advance(on_its_way, 2, 1.0)
    assert on_its_way.aliases == {CHAMPION: 1, CANARY: 2}


@pytest.mark.parametrize(
    ("version", "share", "told"),
    [(2, 0.05, "share of 5% already"), (2, 0.01, "share of 5% already"), (3, 0.5, "v2 is on its")],
)
def test_a_step_that_makes_no_sense_is_refused(on_its_way, version, share, told):
    with pytest.raises(RolloutError, match=told):
        advance(on_its_way, version, share)
    assert on_its_way.aliases == {CHAMPION: 1, CANARY: 2}


def test_a_champion_that_was_moved_meanwhile_stops_it(on_its_way):
    on_its_way.registry.set_alias(MODEL, CHAMPION, on_its_way.register())
    with pytest.raises(RolloutError, match="was compared with v1, and the champion is now v3"):
        advance(on_its_way, 2, 1.0)


# --- crashes --------------------------------------------------------------------------------


class DyingTags(DyingRegistry):
    """A registry whose process also dies at the tag of the share."""

    def set_tag(self, *arguments):
        self.fuse.burn()
        super().set_tag(*arguments)


def cut_off(shop, writes, change):
    def with_tags(dying):
        dying.registry = DyingTags(shop.registry.settings, dying.registry.fuse)
        change(dying)

    return dies_after(shop, writes, with_tags)


def serves_somebody_known(shop):
    shop.journal.verify()
    aliases = shop.aliases
    assert aliases[CHAMPION] in {1, 2}
    if CANARY in aliases:
        assert share_of(shop, aliases[CANARY]) is not None, "a canary of unknown size"


@pytest.mark.parametrize("writes", range(6))
def test_a_beginning_that_dies_anywhere_is_completed(shop, writes):
    shop.promote(shop.register())
    number = shop.register()
    died = cut_off(shop, writes, lambda dying: begin(dying, number))
    assert died == (writes < 5), "begun, share, canary, no shadow, done"
    serves_somebody_known(shop)
    assert begin(shop, number).share == 0.05
    assert shop.aliases == {CHAMPION: 1, CANARY: 2}
    assert shop.journal.verify() == 4


@pytest.mark.parametrize("writes", range(6))
def test_the_last_step_that_dies_anywhere_is_completed_by_the_next_change(on_its_way, writes):
    shop = on_its_way
    died = cut_off(shop, writes, lambda dying: advance(dying, 2, 1.0))
    assert died == (writes < 5), "begun, previous, champion, canary, done"
    serves_somebody_known(shop)
    if died and writes == 0:
        advance(shop, 2, 1.0)
    elif died:
        with pytest.raises(RolloutError, match="no version is on its way"):
            advance(shop, 2, 1.0)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert shop.champions() == [1, 2, 2]


@pytest.mark.parametrize("writes", range(5))
def test_an_abort_that_dies_anywhere_and_is_asked_for_again_is_one_abort(on_its_way, writes):
    shop = on_its_way
    died = cut_off(shop, writes, abort)
    assert died == (writes < 4), "begun, canary, share, done"
    serves_somebody_known(shop)
    if died:
        assert abort(shop).action == "abort"
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 6


def test_the_dying_journal_dies(shop):
    with pytest.raises(test_rollout.Crash):
        DyingJournal(shop.registry.settings.database_url, Fuse(0))._append(None)
