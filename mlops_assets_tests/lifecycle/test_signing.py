"""Who signed what: keys, envelopes that strangers can check, and what they are not good for."""

import base64
import json
import multiprocessing
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mlops_assets.cli import main
from mlops_assets.lifecycle import signing
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.signing_keys import key_id, make_pair, read_private, signer, verifiers

DIGEST = "ab" * 32
TAGS = {"digest": DIGEST, "fingerprint": "cd" * 16, "window": "2026-01-05"}


@pytest.fixture
def settings(home) -> Settings:
    return Settings.from_environment()


@pytest.fixture
def envelope(settings) -> str:
    """The signature of version 3 of the model "shop"."""
    return signing.sign(signer(settings), "shop", 3, "run-3", TAGS)


def check(settings: Settings, envelope: str, **changes) -> None:
    """Verify as the version that was signed, but for the changes."""
    said = {"model": "shop", "number": 3, "run_id": "run-3", "tags": TAGS} | changes
    signing.verify(verifiers(settings), envelope, **said)


def payload(envelope: str) -> dict:
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


def edited(envelope: str, **changes) -> str:
    return json.dumps(json.loads(envelope) | changes)


# --- what is signed ---------------------------------------------------------------------------


def test_a_version_is_that_which_was_signed(settings, envelope):
    check(settings, envelope)


def test_tags_that_are_set_later_do_no_harm(settings, envelope):
    check(settings, envelope, tags=TAGS | {"verdict": "better"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "pricing"}, "its signature is that of shop v3"),
        ({"number": 4}, "its signature is that of shop v3"),
        ({"run_id": "run-4"}, "its signature is that of shop v3"),
        ({"tags": TAGS | {"digest": "0" * 64}}, "not as they were signed: digest"),
        ({"tags": TAGS | {"fingerprint": "0" * 32}}, "not as they were signed: fingerprint"),
        ({"tags": {"digest": DIGEST}}, "not as they were signed: fingerprint, window"),
    ],
)
def test_it_is_no_other_versions(settings, envelope, change, said):
    with pytest.raises(ArtifactError, match=said):
        check(settings, envelope, **change)


def test_openssl_verifies_it_by_the_specification_of_dsse(settings, envelope, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    content = base64.b64decode(json.loads(envelope)["payload"])
    kind = b"application/vnd.in-toto+json"
    message = b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(content), content])
    (tmp_path / "message").write_bytes(message)
    (signature,) = json.loads(envelope)["signatures"]
    (tmp_path / "signature").write_bytes(base64.b64decode(signature["sig"]))
    public = settings.home / "keys" / "signing.pem.pub"
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public)]
    command += ["-in", str(tmp_path / "message"), "-sigfile", str(tmp_path / "signature")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    (tmp_path / "message").write_bytes(message.replace(b"shop", b"shoq"))
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_it_is_an_in_toto_statement_about_the_digest(envelope):
    statement = payload(envelope)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "shop v3", "digest": {"sha256": DIGEST}}]
    assert statement["predicate"]["tags"] == TAGS


# --- envelopes that were tampered with --------------------------------------------------------


def test_what_it_says_can_not_be_changed(settings, envelope):
    statement = payload(envelope)
    statement["predicate"]["version"] = 4
    forged = base64.b64encode(json.dumps(statement, sort_keys=True).encode()).decode()
    with pytest.raises(ArtifactError, match="its signature is wrong"):
        check(settings, edited(envelope, payload=forged), number=4)


@pytest.mark.parametrize(
    "broken",
    ["", "null", "[]", "{}", '{"payload": "e30=", "signatures": []}', "\x00", "[" * 100_000],
)
def test_what_is_no_envelope_is_refused(settings, envelope, broken):
    with pytest.raises(ArtifactError, match="its signature can't be read"):
        check(settings, broken)


def test_a_signature_of_nothing_or_of_anything_but_ed25519_is_refused(settings, envelope):
    (signed,) = json.loads(envelope)["signatures"]
    for sig in ("", "AA==", base64.b64encode(bytes(64)).decode()):
        with pytest.raises(ArtifactError, match="its signature is wrong"):
            check(settings, edited(envelope, signatures=[signed | {"sig": sig}]))
    with pytest.raises(ArtifactError, match="can't be read"):
        check(settings, edited(envelope, signatures=[signed, signed]))
    with pytest.raises(ArtifactError, match="no version of a model"):
        check(settings, edited(envelope, payloadType="text/plain"))


@pytest.mark.parametrize("content", [b'{"_type": "letter"}', b"[]", b"a letter", b"\xff"])
def test_what_the_key_signed_for_another_purpose_is_no_version(settings, content):
    key = signer(settings)
    kind = signing.PAYLOAD.encode()
    signed = key.sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(content), content))
    other = {
        "payload": base64.b64encode(content).decode(),
        "payloadType": signing.PAYLOAD,
        "signatures": [
            {"keyid": key_id(key.public_key()), "sig": base64.b64encode(signed).decode()}
        ],
    }
    with pytest.raises(ArtifactError, match="no version of a model"):
        check(settings, json.dumps(other))


# --- whose keys -------------------------------------------------------------------------------


def test_a_key_of_somebody_else_is_not_trusted_though_its_signature_is_right(settings, tmp_path):
    make_pair(tmp_path / "mallory.pem")
    mallory = read_private(tmp_path / "mallory.pem")
    signer(settings)
    forged = signing.sign(mallory, "shop", 3, "run-3", TAGS)
    with pytest.raises(ArtifactError, match="which is not trusted here"):
        check(settings, forged)
    named_as_ours = json.loads(forged)
    named_as_ours["signatures"][0]["keyid"] = next(iter(verifiers(settings)))
    with pytest.raises(ArtifactError, match="its signature is wrong"):
        check(settings, json.dumps(named_as_ours))


def test_where_nobody_has_signed_yet_nobody_is_trusted(settings, tmp_path):
    make_pair(tmp_path / "other.pem")
    signed = signing.sign(read_private(tmp_path / "other.pem"), "shop", 3, "run-3", TAGS)
    with pytest.raises(ArtifactError, match=r"not trusted here \(none is\)"):
        check(settings, signed)


def test_several_keys_are_trusted_while_one_follows_the_other(settings, tmp_path):
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    both = (make_pair(old), make_pair(new))
    for key in (old, new):
        signed = signing.sign(read_private(key), "shop", 3, "run-3", TAGS)
        check(replace(settings, verify_keys=both), signed)
    with pytest.raises(ArtifactError, match="not trusted"):
        check(
            replace(settings, verify_keys=both[1:]),
            signing.sign(read_private(old), "shop", 3, "run-3", TAGS),
        )


def test_a_server_verifies_without_a_private_key_and_makes_none(home, tmp_path, monkeypatch):
    public = make_pair(tmp_path / "training.pem")
    signed = signing.sign(read_private(tmp_path / "training.pem"), "shop", 3, "run-3", TAGS)
    (tmp_path / "training.pem").unlink()
    monkeypatch.setenv("MLOPS_VERIFY_KEYS", str(public))
    settings = Settings.from_environment()
    check(settings, signed)
    with pytest.raises(ArtifactError, match="MLOPS_SIGNING_KEY is not"):
        signer(settings)
    assert not (home / "keys").exists()


def test_nothing_is_signed_with_a_key_that_is_not_trusted_here(settings, tmp_path):
    make_pair(tmp_path / "mine.pem")
    theirs = make_pair(tmp_path / "theirs.pem")
    with pytest.raises(ArtifactError, match=r"mine\.pem is not among MLOPS_VERIFY_KEYS"):
        signer(replace(settings, signing_key=tmp_path / "mine.pem", verify_keys=(theirs,)))


def test_the_command_makes_a_pair_for_the_environment_and_overwrites_none(
    home, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "keys" / "team.pem"
    assert main(["signing-key", str(file)]) == 0
    told = [line.split("  ")[0].split("=") for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in told] == ["MLOPS_SIGNING_KEY", "MLOPS_VERIFY_KEYS"]
    for name, value in told:
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    check(settings, signing.sign(signer(settings), "shop", 3, "run-3", TAGS))
    before = file.read_bytes()
    assert main(["signing-key", str(file)]) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert file.read_bytes() == before


# --- key files --------------------------------------------------------------------------------


def test_the_first_use_makes_a_key_that_only_its_owner_reads(settings):
    first, again = signer(settings), signer(settings)
    assert first.private_bytes_raw() == again.private_bytes_raw()
    file = settings.home / "keys" / "signing.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(f.name for f in file.parent.iterdir()) == ["signing.pem", "signing.pem.pub"]


def _first_use(settings: Settings, start, told) -> None:
    start.wait(60)
    told.put(signer(settings).private_bytes_raw())


def test_processes_that_sign_first_at_the_same_time_have_one_key(settings):
    clean = multiprocessing.get_context("forkserver")
    clean.set_forkserver_preload([__name__])
    start, told = clean.Barrier(4), clean.Queue()
    processes = [clean.Process(target=_first_use, args=(settings, start, told)) for _ in range(4)]
    for process in processes:
        process.start()
    keys = {told.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert keys == {signer(settings).private_bytes_raw()}
    (trusted,) = verifiers(settings)
    assert trusted == key_id(signer(settings).public_key())


def test_a_public_key_that_a_crash_left_out_is_made_up_for(settings):
    signer(settings)
    (settings.home / "keys" / "signing.pem.pub").unlink()
    assert verifiers(settings) == {}
    signer(settings)
    assert len(verifiers(settings)) == 1


def test_a_private_key_that_everybody_can_read_is_not_used(settings, tmp_path):
    make_pair(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o644)
    with pytest.raises(ArtifactError, match=r"key\.pem: everybody can read this private key"):
        signer(replace(settings, signing_key=tmp_path / "key.pem"))


def encrypted() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def elliptic() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no private key"),
        (b"junk", "is no private key"),
        (encrypted(), "without a password"),
        (elliptic(), "is no Ed25519 key"),
        (None, "can't be read: No such file"),
    ],
    ids=["empty", "junk", "encrypted", "elliptic", "missing"],
)
def test_a_file_that_is_no_such_key_is_named(settings, tmp_path, content, said):
    file: Path = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    with pytest.raises(ArtifactError, match=rf"key\.pem.*{said}"):
        signer(replace(settings, signing_key=file))


def test_a_private_key_in_place_of_a_public_one_is_refused(settings, tmp_path):
    make_pair(tmp_path / "key.pem")
    with pytest.raises(ArtifactError, match=r"key\.pem is no public key"):
        verifiers(replace(settings, verify_keys=(tmp_path / "key.pem",)))
