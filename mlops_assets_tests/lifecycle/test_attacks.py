"""Attacks on versions, registry, promotion and journal: nothing runs, nothing changes, all is told.

Each is built for real: real files, a real MLflow registry in a temporary folder, and where it
matters the real server. The attacker can do what somebody with access to the registry, the files or
the database can; he does not have the signing key.

Tested elsewhere, and not again here:

- a pickle under the name of ``model.skops``, or inside of one; MLmodel with ``loader_module`` and
  ``code``, with trusted types of its own, with ``model_path`` or ``pickled_model: ../outside``;
  files added, removed, renamed, swapped; links in a version; files swapped after the check; an
  alias on a version without a digest: ``test_artifact.py``
- pickles in other wrappings, bombs, pipes, links swapped between check and load, paths out of the
  archive, trees and vectors that lead C code out of its arrays: ``test_crafted_files.py``
- envelopes forged, cut, or of another key; whose key counts: ``test_signing.py``
- a pickle that is imported and attacks; bombs in it: ``test_pickles.py``
- rows of the hold-out in the training, a hold-out from before its end, answers of NaN, one answer
  to many rows, an edited gate has another hash: ``test_evaluation.py``
- few units, NaN against a floor or a bound: ``test_gate.py``
- a verdict bound to something else, a champion set by hand, a crash between any two writes of a
  promotion or rollback, two promotions at once, files changed before a promotion or rollback,
  rows of the journal edited, removed, swapped, put in: ``test_rollout.py``
- gate or hold-out changed between verdict and promotion, a forged report, deployment run alone:
  ``test_gate_in_dagster.py``
- a champion that can't be loaded while the old one serves: ``serving/test_server.py``
"""

import http.server
import json
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from mlops_assets.lifecycle import signing, training
from mlops_assets.lifecycle.artifact import MODEL_FILE, folder_digest
from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError, RolloutError
from mlops_assets.lifecycle.evaluation import Candidate, evaluate
from mlops_assets.lifecycle.fingerprint import row_hashes
from mlops_assets.lifecycle.recording import (
    read_candidate,
    read_hold_out,
    read_profile,
    read_record,
    read_reference,
    record,
)
from mlops_assets.lifecycle.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    Version,
)
from mlops_assets.lifecycle.signing_keys import make_pair
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.version import EVIDENCE
from mlops_assets_tests.harness import visits, week, weekly
from mlops_assets_tests.lifecycle.test_rollout import MODEL, Crash, Shop, dies_after
from mlops_assets_tests.lifecycle.yard import Yard, two_lines
from mlops_assets_tests.serving.conftest import running, serves, wait_for


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> dict[float, Path]:
    """Files of versions by what they answer to 1."""
    return two_lines(tmp_path_factory.mktemp("lines"))


@pytest.fixture
def yard(registry, lines) -> Yard:
    return Yard(registry, lines)


@pytest.fixture
def shop(registry, lines) -> Shop:
    return Shop(registry, (lines[2.0], folder_digest(lines[2.0])))


# --- signatures -------------------------------------------------------------------------------


def test_a_version_that_nobody_signed_is_refused_and_the_champion_serves_on(yard, tmp_path):
    champion = yard.register(yard.files(2.0))
    folder = yard.files(3.0)
    forged = yard.forge(folder.as_uri(), {"digest": folder_digest(folder)})
    assert_not_served(yard, champion, forged, "it is not signed", tmp_path)


def test_a_valid_signature_of_somebody_else_is_refused(yard, tmp_path):
    champion = yard.register(yard.files(2.0))
    make_pair(tmp_path / "mallory.pem")
    settings = replace(yard.registry.settings, signing_key=tmp_path / "mallory.pem")
    mallory = Yard(Registry(settings), yard.lines)
    forged = mallory.register(mallory.files(3.0))
    assert mallory.answers(forged, tmp_path / "mallory") == 3.0
    assert_not_served(yard, champion, forged, "which is not trusted here", tmp_path)


def test_an_old_signed_version_is_not_taken_under_a_new_number(yard, tmp_path):
    old = yard.register(yard.files(3.0))
    champion = yard.register(yard.files(2.0))
    replayed = yard.forge(old.source, old.tags)
    assert_not_served(yard, champion, replayed, "its signature is that of shop v1", tmp_path)


def assert_not_served(yard: Yard, champion: Version, other: Version, said: str, folder: Path):
    """The champion serves, the alias is moved to the other one, the champion serves on."""
    with pytest.raises(ArtifactError, match=rf"{other}: .*{said}"):
        yard.registry.files.load(other, folder / "taken")
    yard.registry.set_alias(MODEL, CHAMPION, champion.number)
    with running(yard.registry.settings) as client:
        wait_for(serves(client, champion))
        yard.registry.set_alias(MODEL, CHAMPION, other.number)
        problem = wait_for(lambda: client.get(f"/v2/models/{MODEL}").json()["problem"])
        assert said in problem
        assert f"version {other.number} " in problem
        body = client.post(f"/predict/{MODEL}", json={"x": 1.0}).json()
        assert body["version"] == champion.number
        assert body["predictions"][0]["prediction"] == pytest.approx(2.0)


def test_a_signed_version_is_not_taken_under_another_models_name(yard, tmp_path):
    signed = yard.register(yard.files())
    yard.registry.client.create_registered_model("pricing")
    forged = yard.forge(signed.source, signed.tags, model="pricing")
    with pytest.raises(ArtifactError, match="pricing v1: its signature is that of shop v1"):
        yard.registry.files.take(forged, tmp_path)


def test_files_swapped_together_with_their_digest_are_refused(yard, tmp_path):
    version = yard.register(folder := yard.files(2.0))
    shutil.rmtree(folder)
    shutil.copytree(yard.lines[3.0], folder)
    digest = folder_digest(folder)
    yard.registry.client.set_model_version_tag(MODEL, "1", "mlops.digest", digest)
    edited = yard.registry.version(MODEL, version.number)
    with pytest.raises(ArtifactError, match=r"shop v1: .*not as they were signed: digest"):
        yard.registry.files.take(edited, tmp_path)


def test_unsigned_versions_of_before_are_taken_where_the_operator_says_so(yard, tmp_path):
    folder = yard.files()
    yard.registry.client.create_registered_model(MODEL)
    old = yard.forge(folder.as_uri(), {"digest": folder_digest(folder)})
    with pytest.raises(ArtifactError, match="MLOPS_ALLOW_UNSIGNED"):
        yard.registry.files.take(old, tmp_path)
    settings = replace(yard.registry.settings, allow_unsigned=True)
    allowing = Yard(Registry(settings), yard.lines)
    assert allowing.answers(old, tmp_path) == 2.0
    wrong = yard.forge(folder.as_uri(), old.tags | {"signature": "{}"})
    with pytest.raises(ArtifactError, match="shop v2: its signature can't be read"):
        allowing.registry.files.take(wrong, tmp_path)
    (folder / "added").touch()
    with pytest.raises(ArtifactError, match="not those that were trained"):
        allowing.registry.files.take(old, tmp_path)


def test_a_version_that_a_crash_left_unsigned_is_not_found_again(yard, tmp_path, monkeypatch):
    def crash(*_):
        raise Crash

    inputs = {"fingerprint": "f" * 32}
    with monkeypatch.context() as patched:
        patched.setattr(signing, "sign", crash)
        with pytest.raises(Crash):
            yard.register(yard.files(), **inputs)
    half = yard.registry.version(MODEL, 1)
    with pytest.raises(ArtifactError, match="it is not signed"):
        yard.registry.files.take(half, tmp_path)
    assert yard.registry.find(MODEL, inputs["fingerprint"]) is None
    whole = yard.register(yard.files(), **inputs)
    assert yard.registry.find(MODEL, inputs["fingerprint"]) == whole


def test_a_replay_is_not_found_in_place_of_what_was_trained(yard):
    trained = yard.register(yard.files(), fingerprint="f" * 32)
    yard.forge(trained.source, trained.tags)
    assert yard.registry.find(MODEL, "f" * 32) == trained


# --- files that are said to lie elsewhere -----------------------------------------------------


@pytest.fixture
def listener():
    """A web server that remembers what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(asked=asked, host=f"127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "source",
    [
        "http://{host}/model",
        "mlflow-artifacts://{host}/model",
        "http://169.254.169.254/latest/meta-data/iam",
        "file:///etc",
        "/etc",
        "file://{host}/{home}/files/model",
        "{home}/../elsewhere",
        "file://{home}/files/%2e%2e/%2e%2e/elsewhere",
        "file://{home}/link",
        "file://{home}/files/model?x",
        "files/model",
        "s3://somebody-elses/model",
        "runs:/0123/model",
    ],
)
def test_files_that_are_said_to_lie_elsewhere_are_not_even_asked_for(
    yard, listener, tmp_path, source
):
    home = yard.registry.settings.home
    shutil.copytree(yard.lines[2.0], home / "files" / "model")
    shutil.copytree(yard.lines[2.0], home.parent / "elsewhere")
    (home / "link").symlink_to(home.parent / "elsewhere")
    tags = {"digest": folder_digest(yard.lines[2.0])}
    place = source.format(host=listener.host, home=home)
    version = yard.registry.create(MODEL, place, "", None, tags)
    assert version.source == place
    with pytest.raises(ArtifactError, match="shop v1: its files are said to lie at"):
        yard.registry.files.take(version, tmp_path / "taken")
    assert listener.asked == []
    assert not (tmp_path / "taken").exists()


def test_an_experiment_made_for_it_does_not_open_another_place(yard, listener, tmp_path):
    client = yard.registry.client
    client.create_experiment(MODEL, artifact_location=f"mlflow-artifacts://{listener.host}/x")
    version = yard.register(yard.files())
    moved = replace(version, source=f"mlflow-artifacts://{listener.host}/x/model")
    with pytest.raises(ArtifactError, match="its files are said to lie at"):
        yard.registry.files.take(moved, tmp_path)
    assert listener.asked == []


# --- the evidence of a training ---------------------------------------------------------------


@pytest.fixture
def recorded(registry) -> tuple[Registry, ModelSpec, Version]:
    """A version as training records it."""
    spec = ModelSpec.model_validate(weekly())
    frame = visits(3, 200)
    frames = {week(i): frame[i * 200 : (i + 1) * 200].reset_index(drop=True) for i in range(3)}
    seen, unseen = training.split(spec, frames)
    data = training.TrainingData.of(spec, seen, unseen, "code-1")
    client = registry.client
    experiment = client.create_experiment(spec.name, registry.settings.artifact_url)
    run = client.create_run(experiment, tags={"mlflow.source.git.commit": "none"})
    window = spec.grid.window(week(2))
    model = record(registry, spec, window, data, training.fit(spec, data.seen), run, "run")
    return registry, spec, registry.version(spec.name, model.version)


def logged(registry: Registry, version: Version, name: str) -> Path:
    (found,) = registry.settings.home.rglob(f"{version.run_id}/artifacts/{name}")
    return found


def test_training_rows_can_not_be_taken_back_after_the_training(recorded, tmp_path):
    registry, _, version = recorded
    assert len(read_candidate(registry, version, tmp_path).training_rows) == 400
    np.save(logged(registry, version, "training_rows.npy"), np.zeros(0, dtype=np.uint64))
    with pytest.raises(ArtifactError, match=r"shop v1: training_rows.npy .*not what the version"):
        read_candidate(registry, version, tmp_path)


def test_the_end_of_the_training_can_not_be_put_earlier(recorded, tmp_path):
    registry, _, version = recorded
    file = logged(registry, version, "trained_model.json")
    facts = json.loads(file.read_text())
    assert read_record(registry, version).trained_until is not None
    file.write_text(json.dumps(facts | {"trained_until": "2000-01-01T00:00:00+00:00"}))
    with pytest.raises(ArtifactError, match=r"trained_model.json .*not what the version"):
        read_candidate(registry, version, tmp_path)


def test_the_reference_of_drift_can_not_be_exchanged(recorded):
    registry, _, version = recorded
    calm = read_reference(registry, version)
    calm.assign(interest=0.0).to_parquet(logged(registry, version, "reference.parquet"))
    with pytest.raises(ArtifactError, match=r"reference.parquet .*not what the version"):
        read_reference(registry, version)


def test_the_reference_profile_is_of_the_hold_out_and_can_not_be_exchanged(recorded):
    registry, _, version = recorded
    hold_out = visits(3, 200).iloc[400:]
    kept = read_profile(registry, version)
    assert kept.names == ["interest", "minutes", "bought", "prediction"]
    assert (kept.rows, kept.windows) == (200, [week(0), week(1), week(2)])
    assert kept["minutes"].numbers.mean == pytest.approx(hold_out["minutes"].mean())
    assert [len(c.numbers.windows) for c in kept.columns] == [3, 3, 3, 2]
    calm = kept.model_copy(update={"rows": 10**6})
    logged(registry, version, "reference_profile.json").write_bytes(calm.written())
    with pytest.raises(ArtifactError, match=r"reference_profile.json .*not what the version"):
        read_profile(registry, version)


def test_a_version_from_before_profiles_is_watched_by_its_sample(recorded):
    registry, _, version = recorded
    evidence = json.loads(version.tags["evidence"])
    del evidence["reference_profile.json"]
    tags = version.tags | {"evidence": json.dumps(evidence)}
    unsigned = replace(version, tags={k: v for k, v in tags.items() if k != "signature"})
    old = Registry(replace(registry.settings, allow_unsigned=True))
    made, kept = read_profile(old, unsigned), read_profile(registry, version)
    assert "from before profiles" in made.origin
    assert made["minutes"].numbers.counts == kept["minutes"].numbers.counts
    assert made.windows == []


def test_the_answers_on_the_hold_out_are_recorded_and_can_not_be_exchanged(recorded, tmp_path):
    registry, _, version = recorded
    hold_out = visits(3, 200).iloc[400:]
    scores = read_candidate(registry, version, tmp_path).estimator.predict_proba(
        hold_out[["interest", "minutes"]]
    )[:, 1]
    kept = read_hold_out(registry, version)
    assert kept.truth.tolist() == hold_out["bought"].tolist()
    assert [answer["score"] for answer in kept.answers] == scores.tolist()
    assert kept.weights.tolist() == [1.0] * 200

    file = logged(registry, version, "hold_out_answers.parquet")
    pd.read_parquet(file).assign(truth=1).to_parquet(file)
    with pytest.raises(ArtifactError, match=r"hold_out_answers.parquet .*not what the version"):
        read_hold_out(registry, version)


def test_a_version_from_before_answers_were_recorded_has_none(recorded):
    registry, _, version = recorded
    tags = {name: value for name, value in version.tags.items() if name != EVIDENCE}
    assert read_hold_out(registry, replace(version, tags=tags)) is None


def test_a_champion_whose_files_are_gone_is_no_missing_champion(recorded, tmp_path):
    registry, _, version = recorded
    registry.set_alias("shop", CHAMPION, version.number)
    (model,) = registry.settings.home.rglob(MODEL_FILE)
    shutil.rmtree(model.parent)
    champion = registry.at("shop", CHAMPION)
    with pytest.raises(ArtifactError, match="shop v1: the version's files are gone"):
        read_candidate(registry, champion, tmp_path)


# --- gaming the gate --------------------------------------------------------------------------


def judged(spec: ModelSpec, estimator, rival=None):
    frame = visits(3, 200)
    frames = {week(i): frame[i * 200 : (i + 1) * 200].reset_index(drop=True) for i in range(3)}
    seen, held = training.split(spec, frames)
    hashes = row_hashes(training.join_windows(seen))
    fitted = training.join_windows(seen)

    def candidate(number, model):
        model.fit(fitted[["interest", "minutes"]], fitted["bought"])
        version = Version("shop", number, "", "", {"digest": str(number)}, 0)
        return Candidate(version, model, hashes, datetime(2000, 1, 1, tzinfo=UTC))

    champion = None if rival is None else candidate(1, rival)
    return evaluate(spec, week(2), seen, held, candidate(2, estimator), champion).verdict


@pytest.mark.parametrize("strategy", ["prior", "most_frequent", "stratified", "uniform"])
def test_a_model_that_always_says_the_same_is_not_accepted(strategy):
    spec = ModelSpec.model_validate(weekly())
    constant = DummyClassifier(strategy=strategy, random_state=0)
    first = judged(spec, constant)
    assert (first.verdict, first.accepted) == ("below_floor", False)
    floorless = ModelSpec.model_validate(weekly(gate__floor={"log_loss": 99.0}))
    against = judged(floorless, constant, LogisticRegression())
    assert (against.verdict, against.accepted) == ("worse", False)


# --- aliases ----------------------------------------------------------------------------------


def test_what_a_moved_alias_can_and_can_not_do(yard, shop):
    """A signed version is served, for aliases say what serves; promotion does not build on it."""
    shop.promote(shop.register())
    unjudged = yard.register(yard.files(3.0))
    with running(yard.registry.settings) as client:
        wait_for(serves(client, yard.registry.version(MODEL, 1)))
        yard.registry.set_alias(MODEL, CHAMPION, unjudged.number)
        wait_for(serves(client, unjudged))
        with pytest.raises(RolloutError, match="moved by hand"):
            shop.promote(shop.register())
        assert shop.rollback().version == 1
        wait_for(serves(client, yard.registry.version(MODEL, 1)))
    assert shop.champions() == [1, 1]
    assert shop.journal.verify() == 4


def test_a_version_that_nobody_signed_is_not_promoted(shop, yard):
    shop.promote(shop.register())
    folder = yard.files()
    forged = yard.forge(folder.as_uri(), {"digest": shop.digest})
    with pytest.raises(ArtifactError, match="shop v2: it is not signed"):
        shop.promote(forged.number)
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 2


# --- rollback targets that are gone -----------------------------------------------------------


def test_a_rollback_to_a_version_that_was_deleted_leaves_the_champion(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    shop.registry.client.delete_model_version(MODEL, "1")
    with pytest.raises(ArtifactError, match="shop has no version 1"):
        shop.rollback()
    assert shop.aliases[CHAMPION] == 2
    assert shop.journal.unfinished(MODEL) is None
    shop.promote(shop.register())
    assert shop.aliases == {CHAMPION: 3, PREVIOUS: 2}


def delete(shop: Shop, number: int) -> None:
    shop.registry.client.delete_model_version(MODEL, str(number))


def change(shop: Shop, number: int) -> None:
    (shop.folder(number) / "added").touch()


@pytest.mark.parametrize("harm", [delete, change])
@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_promotion_that_died_and_whose_version_is_gone_is_taken_back(shop, writes, harm):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    third = shop.register()
    shop.registry.set_alias(MODEL, CHALLENGER, third)
    assert dies_after(shop, writes, lambda dying: dying.promote(third))
    harm(shop, third)
    entry = shop.rollback()
    assert (entry.state, entry.action, entry.version) == ("void", "promote", 3)
    assert "taken back: shop" in entry.why
    assert (shop.aliases[CHAMPION], shop.aliases[PREVIOUS]) == (2, 1)
    shop.promote(shop.register())
    assert (shop.aliases[CHAMPION], shop.aliases[PREVIOUS]) == (4, 2)
    assert shop.champions() == [1, 2, 4]
    shop.journal.verify()


@pytest.mark.parametrize("harm", [delete, change])
def test_a_rollback_that_died_and_whose_target_is_gone_leaves_the_champion(shop, harm):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    assert dies_after(shop, 2, lambda dying: dying.rollback())
    harm(shop, 1)
    with pytest.raises(ArtifactError, match="shop"):
        shop.rollback()
    assert shop.aliases[CHAMPION] == 2
    shop.promote(shop.register())
    assert shop.aliases[CHAMPION] == 3
    assert shop.champions() == [1, 2, 3]


# --- the journal ------------------------------------------------------------------------------


def test_on_an_edited_journal_nothing_is_promoted_but_what_is_bad_can_be_taken_back(shop):
    for number in (shop.register(), shop.register(), shop.register()):
        shop.promote(number)
    shop.rollback()
    with sa.create_engine(shop.journal.url).begin() as database:  # v3 was never rolled back
        database.execute(sa.text("DELETE FROM rollout_journal WHERE action = 'rollback'"))
        database.execute(sa.text("UPDATE rollout_journal SET who = 'nobody' WHERE seq = 2"))
    for number in (3, shop.register()):
        with pytest.raises(EvidenceError, match="the chain breaks at row 2"):
            shop.promote(number)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    with pytest.raises(EvidenceError):
        shop.journal.verify()
    shop.rollback()
    assert shop.aliases[CHAMPION] != 2
