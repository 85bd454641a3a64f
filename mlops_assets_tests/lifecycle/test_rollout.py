"""Changing what serves: bindings, crashes between any two writes, two at once, the journal."""

import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.linear_model import LinearRegression

from mlops_assets.lifecycle.artifact import Feature, Serving, write_version
from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError, RolloutError
from mlops_assets.lifecycle.fingerprint import digest_of
from mlops_assets.lifecycle.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from mlops_assets.lifecycle.reports import EvaluationReport, Verdict
from mlops_assets.lifecycle.rollout.history import former_champion
from mlops_assets.lifecycle.rollout.journal import Entry, Journal
from mlops_assets.lifecycle.rollout.promotion import promote, rollback
from mlops_assets.lifecycle.settings import Settings

MODEL, POLICY, DATA, WHO = "shop", "policy-1", "data-1", "test"


class Crash(BaseException):
    """The process dies here; nothing that handles errors may catch it."""


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """The files of a version, as training writes them, and their digest."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    frame = pd.DataFrame({"x": np.arange(10.0)})
    feature = Feature(name="x", dtype="float64")
    serving = Serving(
        model=MODEL, task="regression", features=[feature], unit=None, time=None, key=[]
    )
    estimator = LinearRegression().fit(frame, 2 * frame["x"])
    return folder, write_version(folder, estimator, serving, frame[:2], np.zeros(2))


class Shop:
    """A registry and a journal; ``versions`` share one version's files, each in its own copy."""

    def __init__(self, registry: Registry, trained: tuple[Path, str]):
        self.registry = registry
        self.journal = Journal(registry.settings.database_url)
        self.files, self.digest = trained

    def register(self, *, digest: bool = True) -> int:
        """A new version; returns its number."""
        folder = self.registry.settings.home / "files" / os.urandom(4).hex()
        shutil.copytree(self.files, folder)
        if digest:
            tags = {"digest": self.digest}
            return self.registry.create(MODEL, folder.as_uri(), "", None, tags).number
        client = self.registry.client
        return int(client.create_model_version(MODEL, folder.as_uri()).version)

    def folder(self, number: int) -> Path:
        """Where the files of a version are."""
        source = self.registry.version(MODEL, number).source
        return Path(source.removeprefix("file://"))

    def judged(self, number: int, champion: int | None, **changes) -> EvaluationReport:
        """The stored report in which a version was accepted against a champion."""
        return report(number, champion, self.digest, **changes)

    def promote(self, number: int, report: EvaluationReport | None = None) -> Entry:
        judged = report or self.judged(number, self.aliases.get(CHAMPION))
        return promote(
            self.registry, self.journal, judged, policy_hash=POLICY, data_version=DATA, who=WHO
        )

    def rollback(self) -> Entry:
        return rollback(self.registry, self.journal, MODEL, WHO, "it got worse")

    @property
    def aliases(self) -> dict[str, int]:
        return self.registry.aliases(MODEL)

    def champions(self) -> list[int]:
        """Every version that became champion, as the journal tells it."""
        return [e.version for e in self.journal.entries(MODEL) if e.state == "done"]


def report(number: int, champion: int | None, digest: str, **changes) -> EvaluationReport:
    verdict = {
        "verdict": "first_model" if champion is None else "better",
        "accepted": True,
        "reasons": ["made up"],
        "challenger_version": number,
        "challenger_digest": digest,
        "champion_version": champion,
        "data_version": DATA,
        "policy_hash": POLICY,
    }
    return EvaluationReport(
        model=MODEL,
        window="2026-01-05",
        task="regression",
        fingerprint=f"evaluation of v{number}",
        evaluated_at=datetime.now(UTC),
        hold_out_windows=["2026-01-05"],
        hold_out_rows=100,
        hold_out_units=100,
        unseen=[],
        challenger=[],
        champion=[],
        baseline=[],
        comparison=None,
        verdict=Verdict(**verdict | changes),
    )


@pytest.fixture
def shop(registry, trained) -> Shop:
    return Shop(registry, trained)


# --- sequences ------------------------------------------------------------------------------


def test_the_first_champion_has_no_previous(shop):
    entry = shop.promote(shop.register())
    assert shop.aliases == {CHAMPION: 1}
    assert (entry.action, entry.version, entry.champion_before) == ("promote", 1, None)
    assert entry.evidence["digest"] == shop.digest
    assert shop.journal.verify() == 2


def test_promote_twice_roll_back_and_promote_a_third(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    back = shop.rollback()
    assert (back.action, back.version, back.champion_before) == ("rollback", 1, 2)
    assert shop.aliases == {CHAMPION: 1}
    shop.promote(shop.register())
    assert shop.aliases == {CHAMPION: 3, PREVIOUS: 1}
    assert shop.rollback().version == 1
    assert shop.champions() == [1, 2, 1, 3, 1]
    assert shop.journal.verify() == 10


def test_rolling_back_goes_down_the_champions_one_by_one(shop):
    for number in (shop.register(), shop.register(), shop.register()):
        shop.promote(number)
    assert shop.rollback().version == 2
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert shop.rollback().version == 1
    assert shop.aliases == {CHAMPION: 1}


def test_there_is_nothing_before_the_first_champion_to_roll_back_to(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    shop.rollback()
    with pytest.raises(RolloutError, match="no version before the champion"):
        shop.rollback()
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 6


def test_without_a_champion_there_is_nothing_to_roll_back(shop):
    shop.register()
    with pytest.raises(RolloutError):
        shop.rollback()
    assert shop.journal.verify() == 0


def test_a_version_that_was_rolled_back_is_not_promoted_again(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    shop.rollback()
    with pytest.raises(RolloutError, match=r"shop v2 was rolled back on .* by test \(it got wor"):
        shop.promote(2)
    assert shop.aliases == {CHAMPION: 1}


def test_previous_is_a_former_champion_not_the_number_before(shop):
    for _ in range(6):
        shop.register()
    for number in (2, 5, 6):
        shop.promote(number)
    assert shop.aliases == {CHAMPION: 6, PREVIOUS: 5}
    shop.rollback()
    assert shop.aliases == {CHAMPION: 5, PREVIOUS: 2}


def test_a_champion_that_came_back_and_was_rolled_back_is_no_way_back(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    shop.promote(1)
    assert shop.aliases == {CHAMPION: 1, PREVIOUS: 2}
    assert shop.rollback().version == 2
    assert shop.aliases == {CHAMPION: 2}
    with pytest.raises(RolloutError):
        shop.rollback()


def test_promoting_what_serves_already_changes_nothing(shop):
    first = shop.promote(shop.register())
    again = shop.promote(1, shop.judged(1, None))
    assert again == first
    assert shop.journal.verify() == 2


def test_a_promoted_challenger_is_no_challenger_any_more(shop):
    shop.promote(shop.register())
    shop.registry.set_alias(MODEL, CHALLENGER, shop.register())
    shop.promote(2)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}


def test_another_versions_challenger_alias_stays(shop):
    shop.promote(shop.register())
    number, waiting = shop.register(), shop.register()
    shop.registry.set_alias(MODEL, CHALLENGER, waiting)
    shop.promote(number)
    assert shop.aliases[CHALLENGER] == waiting


# --- what a verdict is bound to -------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"challenger_digest": "0" * 64}, "the challenger's digest changed"),
        ({"champion_version": None}, "the champion's version changed"),
        ({"champion_version": 7}, "the champion's version changed"),
        ({"data_version": "data-2"}, "the hold-out's data version changed"),
        ({"policy_hash": "policy-2"}, "the gate's policy changed"),
        ({"accepted": False, "verdict": "worse"}, r"was not accepted \(worse\): made up"),
    ],
)
def test_a_verdict_that_is_bound_to_something_else_promotes_nothing(shop, change, told):
    shop.promote(shop.register())
    number = shop.register()
    with pytest.raises(EvidenceError, match=told):
        shop.promote(number, shop.judged(number, 1, **change))
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 2


def test_a_verdict_against_a_champion_that_was_replaced_is_stale(shop):
    for _ in range(3):
        shop.register()
    shop.promote(1)
    stale = shop.judged(3, champion=1)
    shop.promote(2)
    with pytest.raises(EvidenceError, match=r"champion's version changed .*1 then, 2 now"):
        shop.promote(3, stale)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}


def test_a_version_that_does_not_exist_is_not_promoted(shop):
    shop.promote(shop.register())
    with pytest.raises(ArtifactError, match="no version 9"):
        shop.promote(9)


def edit(folder: Path) -> None:
    file = folder / "model.skops"
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def remove(folder: Path) -> None:
    (folder / "serving.json").unlink()


def add(folder: Path) -> None:
    (folder / "code.py").write_text("print('hello')")


def link(folder: Path) -> None:
    file = folder / "model.skops"
    moved = file.rename(folder.parent / f"moved-{folder.name}")
    file.symlink_to(moved)


def remove_all(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize("tamper", [edit, remove, add, link, remove_all])
def test_a_challenger_whose_files_changed_is_not_promoted(shop, tamper):
    shop.promote(shop.register())
    number = shop.register()
    tamper(shop.folder(number))
    with pytest.raises(ArtifactError):
        shop.promote(number)
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 2


@pytest.mark.parametrize("tamper", [edit, remove_all])
def test_a_rollback_to_files_that_changed_leaves_the_champion(shop, tamper):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    tamper(shop.folder(1))
    with pytest.raises(ArtifactError):
        shop.rollback()
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert shop.journal.unfinished(MODEL) is None


# --- the alias moved behind our back --------------------------------------------------------


def test_a_champion_that_was_set_by_hand_is_not_taken_for_promoted(shop):
    shop.promote(shop.register())
    unjudged = shop.register()
    shop.registry.set_alias(MODEL, CHAMPION, unjudged)
    with pytest.raises(RolloutError, match=r"points at v2, .* knows of v1: it was moved by hand"):
        shop.promote(unjudged, shop.judged(unjudged, 1, accepted=False, verdict="worse"))
    with pytest.raises(RolloutError, match="moved by hand"):
        shop.promote(shop.register())
    assert shop.champions() == [1]


def test_a_rollback_repairs_an_alias_that_was_moved(shop):
    shop.promote(shop.register())
    shop.registry.set_alias(MODEL, CHAMPION, shop.register())
    assert shop.rollback().version == 1
    assert shop.aliases == {CHAMPION: 1}


def test_a_champion_without_a_journal_is_not_built_on(shop):
    shop.registry.set_alias(MODEL, CHAMPION, shop.register())
    with pytest.raises(RolloutError, match="knows of nothing"):
        shop.promote(shop.register())
    with pytest.raises(RolloutError, match="knows of nothing"):
        shop.promote(1)


# --- crashes --------------------------------------------------------------------------------


class Fuse:
    """Lets ``writes`` writes pass; the next one never happens."""

    def __init__(self, writes: int):
        self.left = writes

    def burn(self) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1


class DyingRegistry(Registry):
    """A registry whose process dies at a write."""

    def __init__(self, settings: Settings, fuse: Fuse):
        super().__init__(settings)
        self.fuse = fuse

    def set_alias(self, model, alias, number):
        self.fuse.burn()
        super().set_alias(model, alias, number)

    def drop_alias(self, model, alias):
        self.fuse.burn()
        super().drop_alias(model, alias)


class DyingJournal(Journal):
    """A journal whose process dies at a write."""

    def __init__(self, url: str, fuse: Fuse):
        super().__init__(url)
        self.fuse = fuse

    def _append(self, entry):
        self.fuse.burn()
        return super()._append(entry)


def dies_after(shop: Shop, writes: int, change) -> bool:
    """Whether ``change`` was cut off after so many writes; its locks are gone as with it."""
    fuse = Fuse(writes)
    settings = shop.registry.settings
    dying = Shop(DyingRegistry(settings, fuse), (shop.files, shop.digest))
    dying.journal = DyingJournal(settings.database_url, fuse)
    try:
        change(dying)
    except Crash:
        return True
    return False


def half_way(shop: Shop, allowed: set[int], former: set[int]) -> None:
    """What must hold at any moment."""
    shop.journal.verify()
    assert shop.aliases.get(CHAMPION) in allowed
    assert shop.aliases.get(PREVIOUS, min(former)) in former


@pytest.mark.parametrize("writes", range(6))
def test_a_promotion_that_dies_anywhere_leaves_a_champion_and_is_completed(shop, writes):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    number = shop.register()
    shop.registry.set_alias(MODEL, CHALLENGER, number)
    judged = shop.judged(number, 2)
    died = dies_after(shop, writes, lambda dying: dying.promote(number, judged))
    assert died == (writes < 5), "five writes: begun, previous, champion, challenger, done"
    half_way(shop, allowed={2, 3}, former={1, 2})
    assert shop.promote(number, judged).version == 3
    assert shop.aliases == {CHAMPION: 3, PREVIOUS: 2}
    assert shop.champions() == [1, 2, 3]
    assert shop.journal.verify() == 6


@pytest.mark.parametrize("writes", range(5))
def test_a_first_promotion_that_dies_anywhere_is_completed(shop, writes):
    number = shop.register()
    judged = shop.judged(number, None)
    died = dies_after(shop, writes, lambda dying: dying.promote(number, judged))
    assert died == (writes < 4)
    assert shop.aliases.get(CHAMPION) in {None, 1}
    shop.promote(number, judged)
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 2


@pytest.mark.parametrize("writes", range(5))
def test_a_rollback_that_dies_anywhere_and_is_asked_for_again_is_one_rollback(shop, writes):
    for number in (shop.register(), shop.register(), shop.register()):
        shop.promote(number)
    died = dies_after(shop, writes, lambda dying: dying.rollback())
    assert died == (writes < 4), "four writes: begun, previous, champion, done"
    half_way(shop, allowed={2, 3}, former={1, 2})
    if died:
        assert shop.rollback().version == 2
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert shop.champions() == [1, 2, 3, 2]
    assert shop.journal.verify() == 8


@pytest.mark.parametrize("writes", range(1, 5))
def test_the_next_change_finishes_the_one_that_was_cut_off(shop, writes):
    shop.promote(shop.register())
    second, third = shop.register(), shop.register()
    shop.registry.set_alias(MODEL, CHALLENGER, second)
    assert dies_after(shop, writes, lambda dying: dying.promote(second))
    with pytest.raises(EvidenceError, match="champion's version changed"):
        shop.promote(third, shop.judged(third, 1))
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    shop.promote(third)
    assert shop.aliases == {CHAMPION: 3, PREVIOUS: 2}
    assert shop.champions() == [1, 2, 3]
    assert shop.journal.unfinished(MODEL) is None


def test_a_rollback_after_a_promotion_that_was_cut_off_takes_that_back(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    third = shop.register()
    assert dies_after(shop, 2, lambda dying: dying.promote(third))
    assert shop.rollback().version == 2
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert shop.champions() == [1, 2, 3, 2]


@pytest.mark.parametrize("again", range(4))
def test_completing_may_die_as_well(shop, again):
    shop.promote(shop.register())
    number = shop.register()
    judged = shop.judged(number, 1)
    assert dies_after(shop, 2, lambda dying: dying.promote(number, judged))
    dies_after(shop, again, lambda dying: dying.promote(number, judged))
    half_way(shop, allowed={1, 2}, former={1})
    shop.promote(number, judged)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert shop.champions() == [1, 2]


# --- two at once ----------------------------------------------------------------------------


def _promote_in_a_process(settings: Settings, judged: EvaluationReport, start, told) -> None:
    registry, journal = Registry(settings), Journal(settings.database_url)
    registry.aliases(MODEL)
    start.wait(120)
    try:
        entry = promote(registry, journal, judged, policy_hash=POLICY, data_version=DATA, who=WHO)
        told.put(("done", entry.version))
    except EvidenceError as error:
        told.put(("refused", str(error)))


def at_once(shop: Shop, reports: list[EvaluationReport]) -> list[tuple[str, object]]:
    """What two processes say that promote at the same moment."""
    spawn = multiprocessing.get_context("spawn")
    start, told = spawn.Barrier(len(reports)), spawn.Queue()
    arguments = [(shop.registry.settings, judged, start, told) for judged in reports]
    processes = [spawn.Process(target=_promote_in_a_process, args=a) for a in arguments]
    for process in processes:
        process.start()
    said = [told.get(timeout=180) for _ in processes]
    for process in processes:
        process.join()
    return sorted(said, key=str)


def test_of_two_challengers_at_once_one_is_promoted_and_the_other_is_stale(shop):
    shop.promote(shop.register())
    second, third = shop.register(), shop.register()
    said = at_once(shop, [shop.judged(second, 1), shop.judged(third, 1)])
    (done, winner), (refused, why) = said
    assert (done, refused) == ("done", "refused")
    assert "the champion's version changed" in str(why)
    assert shop.aliases == {CHAMPION: winner, PREVIOUS: 1}
    assert shop.champions() == [1, winner]
    assert shop.journal.verify() == 4


def test_the_same_promotion_twice_at_once_is_one_change(shop):
    shop.promote(shop.register())
    number = shop.register()
    said = at_once(shop, [shop.judged(number, 1)] * 2)
    assert said == [("done", 2), ("done", 2)]
    assert shop.champions() == [1, 2]
    assert shop.journal.verify() == 4


def test_rollbacks_at_once_go_one_step_back(shop):
    for _ in range(3):
        shop.promote(shop.register())
    asked = threading.Barrier(2)

    class Meeting(Journal):
        """Two who want to change something wait for each other first."""

        def exclusive(self, model):
            asked.wait(60)
            return super().exclusive(model)

    def roll_back(why):
        settings = shop.registry.settings
        return rollback(Registry(settings), Meeting(settings.database_url), MODEL, WHO, why)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(roll_back, ["a person", "another"])
    assert first == second
    assert (first.version, first.champion_before) == (2, 3)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    # One that is asked for after that is another one.
    assert shop.rollback().version == 1


# --- the journal ----------------------------------------------------------------------------


def wanted(version: int, model: str = MODEL) -> Entry:
    evidence = {"share": 0.25, "words": "Prüfung ✓", "list": [1, None]}
    return Entry(model, "promote", version, None, None, WHO, "because", evidence)


def filled(journal: Journal) -> Journal:
    """Six rows of two models, one change left open."""
    for version, model in ((1, "a"), (2, "b"), (3, "a")):
        journal.finish(journal.begin(wanted(version, model)))
    return journal


@pytest.fixture
def journal(tmp_path):
    return filled(Journal(f"sqlite:///{tmp_path / 'journal.db'}"))


def sql(journal: Journal, statement: str, **values) -> None:
    with sa.create_engine(journal.url).begin() as connection:
        connection.execute(sa.text(statement), values)


def breaks_at(journal: Journal, row: int) -> None:
    with pytest.raises(EvidenceError, match=f"the chain breaks at row {row}$"):
        journal.verify()


def test_what_was_written_is_read_back_and_verifies(journal):
    assert journal.verify() == 6
    begun, done = journal.entries("b")
    assert (begun.state, done.state, begun.change) == ("begun", "done", done.change)
    assert begun.evidence == wanted(2).evidence
    assert Journal(journal.url).verify() == 6


COLUMNS = {
    "model": "other",
    "at": "2020-01-01",
    "change": "x",
    "state": "halted",
    "action": "rollback",
    "version": 99,
    "champion_before": 99,
    "previous_after": 99,
    "who": "nobody",
    "why": "no reason",
    "evidence": '{"share": 1}',
    "hash_before": "f" * 32,
    "hash": "f" * 32,
}


@pytest.mark.parametrize("row", [1, 3, 6])
@pytest.mark.parametrize("column", COLUMNS)
def test_an_edited_row_is_found(journal, row, column):
    statement = f"UPDATE rollout_journal SET {column} = :value WHERE seq = :row"
    sql(journal, statement, value=COLUMNS[column], row=row)
    breaks_at(journal, row)


@pytest.mark.parametrize("row", [1, 3, 5])
def test_a_removed_row_is_found(journal, row):
    sql(journal, "DELETE FROM rollout_journal WHERE seq = :row", row=row)
    breaks_at(journal, row + 1)


def test_rows_that_were_swapped_are_found(journal):
    for old, new in ((2, 100), (3, 2), (100, 3)):
        sql(journal, "UPDATE rollout_journal SET seq = :new WHERE seq = :old", old=old, new=new)
    breaks_at(journal, 2)


@pytest.mark.parametrize("place", [0, 7])
def test_a_row_that_was_put_in_is_found(journal, place):
    sql(
        journal,
        "INSERT INTO rollout_journal SELECT :place, model, at, 'forged', state, action, version, "
        "champion_before, previous_after, who, why, evidence, hash_before, 'forged' "
        "FROM rollout_journal WHERE seq = 1",
        place=place,
    )
    breaks_at(journal, place)


def test_a_row_between_two_is_found_though_its_own_hash_is_right(journal):
    sql(journal, "UPDATE rollout_journal SET seq = seq + 10 WHERE seq > 2")
    second = journal.entries()[1]
    forged = replace(second, version=7, change="forged", hash_before=second.hash)
    sql(
        journal,
        "INSERT INTO rollout_journal SELECT 3, model, at, 'forged', state, action, 7, "
        "champion_before, previous_after, who, why, evidence, hash, :hash "
        "FROM rollout_journal WHERE seq = 2",
        hash=digest_of(forged.content()),
    )
    breaks_at(journal, 13)


def test_a_change_that_was_begun_and_not_done_is_the_unfinished_one(journal):
    assert journal.unfinished("a") is None
    begun = journal.begin(wanted(4, "a"))
    found = journal.unfinished("a")
    assert (found.change, found.version) == (begun.change, 4)
    assert journal.unfinished("b") is None


def test_a_change_is_not_finished_twice(journal):
    begun = journal.begin(wanted(4, "a"))
    journal.finish(begun)
    with pytest.raises(sa.exc.IntegrityError):
        journal.finish(begun)
    assert journal.verify() == 8


def _write_in_a_process(url: str, model: str, start) -> None:
    journal = Journal(url)
    start.wait(120)
    for version in range(20):
        with journal.exclusive(model):
            journal.finish(journal.begin(wanted(version, model)))


def written_at_once(url: str) -> None:
    """Two processes write forty rows each, one model each, so that no lock keeps them apart."""
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(2)
    processes = [
        spawn.Process(target=_write_in_a_process, args=(url, model, start)) for model in "cd"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(180)
    assert [p.exitcode for p in processes] == [0, 0]


def test_two_processes_that_write_at_once_make_one_chain(journal):
    written_at_once(journal.url)
    assert journal.verify() == 86
    assert [e.version for e in journal.entries("c") if e.state == "done"] == list(range(20))


def refused_while_held(journal: Journal, monkeypatch) -> None:
    monkeypatch.setattr("mlops_assets.lifecycle.rollout.journal.LOCK_SECONDS", 1)
    other = Journal(journal.url)
    with (
        journal.exclusive("a"),
        pytest.raises(RolloutError, match="another change of a"),
        other.exclusive("a"),
    ):
        raise AssertionError("both hold it")
    with journal.exclusive("a"), other.exclusive("b"):
        pass


def free_after_an_error(journal: Journal, monkeypatch) -> None:
    monkeypatch.setattr("mlops_assets.lifecycle.rollout.journal.LOCK_SECONDS", 1)
    with pytest.raises(EvidenceError), journal.exclusive("a"):
        raise EvidenceError("refused")
    with Journal(journal.url).exclusive("a"):
        pass


def test_a_change_waits_for_another_of_the_same_model_only(journal, monkeypatch):
    refused_while_held(journal, monkeypatch)


def test_a_refused_change_leaves_no_lock(journal, monkeypatch):
    free_after_an_error(journal, monkeypatch)


# --- the journal on PostgreSQL --------------------------------------------------------------


@pytest.fixture
def postgres(postgres_url):
    """The journal in a schema of its own, dropped afterwards."""
    schema = f"test_{os.urandom(4).hex()}"
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    url = sa.make_url(postgres_url).update_query_dict({"options": f"-csearch_path={schema}"})
    yield filled(Journal(url.render_as_string(hide_password=False)))
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


def test_on_postgres_the_chain_verifies_and_tampering_is_found(postgres):
    assert postgres.verify() == 6
    sql(postgres, "UPDATE rollout_journal SET who = 'nobody' WHERE seq = 3")
    breaks_at(postgres, 3)


def test_on_postgres_two_writers_make_one_chain(postgres):
    written_at_once(postgres.url)
    assert postgres.verify() == 86


def test_on_postgres_a_change_waits_for_another_of_the_same_model_only(postgres, monkeypatch):
    refused_while_held(postgres, monkeypatch)


def test_on_postgres_a_refused_change_leaves_no_lock(postgres, monkeypatch):
    free_after_an_error(postgres, monkeypatch)


def test_on_postgres_a_promotion_and_a_rollback_work(postgres, shop):
    shop.journal = Journal(postgres.url)
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    shop.rollback()
    assert shop.aliases == {CHAMPION: 1}
    assert former_champion(shop.journal, MODEL, 1) is None
    assert shop.journal.verify() == 12
