"""A person's word: what it is bound to, what it lets in, and retirement; crashes in between."""

import json

import pytest

from mlops_assets.lifecycle.errors import (
    ApprovalPending,
    DeclarationError,
    EvidenceError,
    RolloutError,
)
from mlops_assets.lifecycle.registry import (
    CANARY,
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    RETIRED_TAG,
    TAG,
)
from mlops_assets.lifecycle.rollout import approval, retirement, steps
from mlops_assets.lifecycle.rollout.history import retired, under_way
from mlops_assets.lifecycle.rollout.promotion import promote
from mlops_assets_tests.lifecycle import test_rollout
from mlops_assets_tests.lifecycle.test_rollout import (
    DATA,
    MODEL,
    POLICY,
    WHO,
    DyingJournal,
    DyingRegistry,
    Fuse,
    Shop,
    dies_after,
)

trained, shop = test_rollout.trained, test_rollout.shop
PERSON, REASON = "alice", "I have read the model card"


def approve(shop, report, policy_hash=POLICY, data_version=DATA, who=PERSON, why=REASON):
    return approval.approve(
        shop.registry,
        shop.journal,
        report,
        policy_hash=policy_hash,
        data_version=data_version,
        who=who,
        why=why,
    )


def let_in(shop, report, policy_hash=POLICY, data_version=DATA):
    return promote(
        shop.registry,
        shop.journal,
        report,
        policy_hash=policy_hash,
        data_version=data_version,
        who=WHO,
        approval_required=True,
    )


def refuse(shop, number):
    return approval.refuse(shop.registry, shop.journal, MODEL, number, who=PERSON, why=REASON)


def retire(shop, **where):
    return retirement.retire(shop.registry, shop.journal, MODEL, who=PERSON, why=REASON, **where)


def reinstate(shop):
    return retirement.reinstate(shop.registry, shop.journal, MODEL, who=PERSON, why="needed")


def tag(shop):
    return shop.registry.client.get_registered_model(MODEL).tags.get(f"{TAG}{RETIRED_TAG}")


# --- approval -------------------------------------------------------------------------------


def test_nothing_serves_before_a_person_says_so(shop):
    report = shop.judged(shop.register(), None)
    with pytest.raises(ApprovalPending, match="shop v1 waits for approval"):
        let_in(shop, report)
    assert shop.aliases == {}
    said = approve(shop, report)
    assert shop.aliases == {}, "an approval alone lets nothing in"
    assert (said.who, said.why, said.evidence["verdict"]) == (PERSON, REASON, "first_model")
    change = let_in(shop, report)
    assert shop.aliases == {CHAMPION: 1}
    assert change.evidence["approval"] == {
        "who": PERSON,
        "why": REASON,
        "at": said.at,
        "entry": said.hash,
    }
    shop.journal.verify()


def test_an_approval_lets_a_canary_begin(shop):
    shop.promote(shop.register())
    report = shop.judged(shop.register(), 1)

    def begin():
        return steps.begin(
            shop.registry,
            shop.journal,
            report,
            strategy="canary",
            share=0.05,
            policy_hash=POLICY,
            data_version=DATA,
            who=WHO,
            approval_required=True,
        )

    with pytest.raises(ApprovalPending):
        begin()
    approve(shop, report)
    assert begin().version == 2
    assert shop.aliases[CANARY] == 2


@pytest.mark.parametrize(
    ("changes", "now", "said"),
    [
        ({"policy_hash": "policy-2"}, {"policy_hash": "policy-2"}, "the gate's policy"),
        ({"data_version": "data-2"}, {"data_version": "data-2"}, "the hold-out's data version"),
    ],
)
def test_an_approval_on_other_grounds_counts_for_nothing(shop, changes, now, said):
    number = shop.register()
    approve(shop, shop.judged(number, None))
    judged_again = shop.judged(number, None, **changes)
    with pytest.raises(ApprovalPending, match=f"that of alice .* counts no more, {said} was"):
        let_in(shop, judged_again, **now)
    approve(shop, judged_again, **now)
    assert let_in(shop, judged_again, **now).version == number


def test_an_approval_ends_when_the_champion_changes(shop):
    shop.promote(shop.register())
    second, third = shop.register(), shop.register()
    approve(shop, shop.judged(second, 1))
    shop.promote(third)
    with pytest.raises(EvidenceError, match="the champion's version changed"):
        let_in(shop, shop.judged(second, 1))
    with pytest.raises(ApprovalPending, match="the champion was v1 and is v3"):
        let_in(shop, shop.judged(second, 3))
    assert shop.aliases[CHAMPION] == third


def test_an_approval_of_one_version_is_none_of_another(shop):
    approve(shop, shop.judged(shop.register(), None))
    with pytest.raises(ApprovalPending, match="shop v2 waits"):
        let_in(shop, shop.judged(shop.register(), None))


def test_what_the_gate_refused_can_not_be_approved(shop):
    report = shop.judged(shop.register(), None, verdict="below_floor", accepted=False)
    with pytest.raises(EvidenceError, match="was not accepted"):
        approve(shop, report)
    with pytest.raises(EvidenceError, match="the gate's policy changed"):
        approve(shop, shop.judged(1, None), policy_hash="policy-2")


@pytest.mark.parametrize(("who", "why", "said"), [(" ", "x", "who"), ("x", "\n", "a reason")])
def test_an_approval_has_a_person_and_a_reason(shop, who, why, said):
    report = shop.judged(shop.register(), None)
    with pytest.raises(DeclarationError, match=said):
        approve(shop, report, who=who, why=why)
    assert shop.journal.entries(MODEL) == []


def test_approving_twice_is_one_approval(shop):
    report = shop.judged(shop.register(), None)
    assert approve(shop, report) == approve(shop, report, who="bob")
    assert len(shop.journal.entries(MODEL)) == 1


def test_a_refusal_is_final(shop):
    number = shop.register()
    shop.registry.set_alias(MODEL, CHALLENGER, number)
    report = shop.judged(number, None)
    approve(shop, report)
    entry = refuse(shop, number)
    assert refuse(shop, number) == entry
    assert shop.aliases == {}
    for asked in (approve, let_in, lambda s, r: s.promote(r.verdict.challenger_version, r)):
        with pytest.raises(RolloutError, match=r"was refused on .* by alice"):
            asked(shop, report)


def test_what_serves_is_rolled_back_not_refused(shop):
    shop.promote(shop.register())
    with pytest.raises(RolloutError, match="roll it back instead"):
        refuse(shop, 1)


def test_an_edited_journal_approves_nothing(shop):
    import sqlalchemy as sa

    report = shop.judged(shop.register(), None)
    approve(shop, report)
    with sa.create_engine(shop.journal.url).begin() as connection:
        connection.execute(sa.text("UPDATE rollout_journal SET who = 'bob'"))
    with pytest.raises(EvidenceError, match="the chain breaks"):
        let_in(shop, report)


# --- retirement -----------------------------------------------------------------------------


@pytest.fixture
def champion(shop):
    """v2 is champion, v1 was."""
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    return shop


@pytest.fixture
def serving(champion):
    """And v3 is on its way as a canary."""
    shop = champion
    steps.begin(
        shop.registry,
        shop.journal,
        shop.judged(shop.register(), 2),
        strategy="canary",
        share=0.05,
        policy_hash=POLICY,
        data_version=DATA,
        who=WHO,
    )
    return shop


def test_a_retired_model_has_no_alias_and_says_why(serving):
    entry = retire(serving, pointer="https://example.org/shop")
    assert serving.aliases == {}
    begun = next(e for e in serving.journal.entries(MODEL) if e.action == "retire")
    assert json.loads(tag(serving)) == {
        "since": begun.at,
        "why": REASON,
        "pointer": "https://example.org/shop",
    }
    assert entry.evidence["aliases"] == {CHAMPION: 2, PREVIOUS: 1, CANARY: 3}
    assert under_way(serving.journal, MODEL) is None
    assert serving.registry.version(MODEL, 2).digest == serving.digest, "its record stays"
    assert retire(serving) == entry


def test_nothing_changes_a_retired_model_but_its_reinstatement(serving):
    retire(serving)
    report = serving.judged(serving.register(), None)
    for asked in (
        lambda: serving.promote(4, report),
        lambda: approve(serving, report),
        lambda: serving.rollback(),
    ):
        with pytest.raises(RolloutError, match=r"shop was retired on .* by alice .*reinstate shop"):
            asked()
    assert serving.aliases == {}
    back = reinstate(serving)
    assert (back.version, serving.aliases) == (2, {CHAMPION: 2, PREVIOUS: 1})
    assert tag(serving) is None
    assert retired(serving.journal, MODEL) is None
    serving.promote(4, serving.judged(4, 2))
    assert serving.rollback().version == 2
    serving.journal.verify()


def test_what_is_not_in_service_is_not_retired(shop):
    shop.register()
    with pytest.raises(RolloutError, match="no champion: nothing of it is in service"):
        retire(shop)
    with pytest.raises(RolloutError, match="shop is not retired"):
        reinstate(shop)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"pointer": "javascript:alert(1)"}, "no http or https URL"),
        ({"pointer": 'https://x.org/>; rel="next'}, "no http or https URL"),
        ({"pointer": "https://x.org/\r\nset-cookie: a"}, "no http or https URL"),
        ({"successor": MODEL}, "its own successor"),
        ({"successor": "nobody"}, "nobody would answer"),
        ({"successor": "a", "pointer": "https://x.org"}, "not both"),
    ],
)
def test_a_pointer_leads_somewhere(champion, where, said):
    with pytest.raises((DeclarationError, RolloutError), match=said):
        retire(champion, **where)
    assert champion.aliases[CHAMPION] == 2


def test_a_champion_whose_files_changed_is_not_reinstated(champion):
    retire(champion)
    (champion.folder(2) / "model.skops").write_bytes(b"other")
    with pytest.raises(Exception, match="are not those that were trained"):
        reinstate(champion)
    assert champion.aliases == {}
    assert tag(champion) is not None


class DyingTags(DyingRegistry):
    """Dies at a model's tag, too."""

    def tag_model(self, model, name, value):
        self.fuse.burn()
        super().tag_model(model, name, value)

    def untag_model(self, model, name):
        self.fuse.burn()
        super().untag_model(model, name)


def dying(shop, writes, change):
    made = Shop(shop.registry, (shop.files, shop.digest))
    fuse = Fuse(writes)
    made.registry = DyingTags(shop.registry.settings, fuse)
    made.journal = DyingJournal(shop.journal.url, fuse)
    try:
        change(made)
    except test_rollout.Crash:
        return True
    return False


@pytest.mark.parametrize("writes", range(9))
def test_a_retirement_that_dies_anywhere_is_completed(champion, writes):
    died = dying(champion, writes, retire)
    assert died == (writes < 8), "begun, the tag, five aliases, done"
    aliases = champion.aliases
    assert CHAMPION in aliases or tag(champion), "404 is never answered in between"
    assert (tag(champion) is not None) == (writes >= 2)
    retire(champion)
    assert (champion.aliases, tag(champion) is not None) == ({}, True)
    champion.journal.verify()
    assert reinstate(champion).version == 2
    assert champion.aliases == {CHAMPION: 2, PREVIOUS: 1}


@pytest.mark.parametrize("writes", range(6))
def test_a_reinstatement_that_dies_anywhere_is_completed(champion, writes):
    retire(champion)
    died = dying(champion, writes, reinstate)
    assert died == (writes < 5), "begun, previous, champion, the tag, done"
    assert CHAMPION in champion.aliases or tag(champion)
    if died:
        assert reinstate(champion).version == 2
    assert (champion.aliases, tag(champion)) == ({CHAMPION: 2, PREVIOUS: 1}, None)
    assert retired(champion.journal, MODEL) is None
    champion.journal.verify()


@pytest.mark.parametrize("writes", range(3))
def test_a_refusal_that_dies_anywhere_is_completed(shop, writes):
    number = shop.register()
    shop.registry.set_alias(MODEL, CHALLENGER, number)
    assert dies_after(shop, writes, lambda made: refuse(made, number))
    refuse(shop, number)
    assert shop.aliases == {}
    with pytest.raises(RolloutError, match="was refused"):
        shop.promote(number)
