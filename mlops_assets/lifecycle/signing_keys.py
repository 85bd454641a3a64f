"""The Ed25519 keys that versions are signed with and verified by: files in PEM."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

READABLE_BY_ALL = 0o007


def make_pair(private: Path) -> Path:
    """Make a key pair; return the file of the public key, ``.pub`` appended.

    The private key is readable by its owner only. Of several processes that make the same pair at
    once one wins, and all end with its pair.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Ed25519PrivateKey.generate()
    secret = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # The name appears with its content or not at all, and never over another key.
    _link(secret, private, 0o600)
    public = read_private(private).public_key()
    named = private.with_name(f"{private.name}.pub")
    _link(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), named, 0o644)
    return named


def signer(settings: Settings) -> "Ed25519PrivateKey":
    """The key that new versions are signed with.

    Raises
    ------
    ArtifactError
        Where there is none, as on a server that only verifies, or one that nobody here trusts.
    """
    if settings.signing_key is not None:
        key = read_private(settings.signing_key)
        if key_id(key.public_key()) not in verifiers(settings):
            raise ArtifactError(
                f"the public half of {settings.signing_key} is not among MLOPS_VERIFY_KEYS: what "
                "it signs would be refused"
            )
        return key
    if settings.verify_keys:
        raise ArtifactError(
            "no version can be made here: MLOPS_VERIFY_KEYS is set and MLOPS_SIGNING_KEY is not"
        )
    own = _own(settings)
    make_pair(own)
    return read_private(own)


def verifiers(settings: Settings) -> "dict[str, Ed25519PublicKey]":
    """The public keys whose signatures are accepted, by key id."""
    if settings.verify_keys:
        keys = [_read_public(file) for file in settings.verify_keys]
    elif settings.signing_key is not None:
        keys = [read_private(settings.signing_key).public_key()]
    else:
        public = _own(settings).with_name(f"{_own(settings).name}.pub")
        keys = [_read_public(public)] if public.exists() else []
    return {key_id(key): key for key in keys}


def key_id(key: "Ed25519PublicKey") -> str:
    """The first 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def read_private(file: Path) -> "Ed25519PrivateKey":
    """A private key.

    Raises
    ------
    ArtifactError
        When the file is missing, no Ed25519 key, or readable by everybody.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(file)
    if file.stat().st_mode & READABLE_BY_ALL:
        raise ArtifactError(f"{file}: everybody can read this private key: chmod 600 it")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ArtifactError(f"{file} is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ArtifactError(f"{file} is no Ed25519 key (`mlops-assets signing-key` makes one)")
    return key


def _read_public(file: Path) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(file))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ArtifactError(f"{file} is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ArtifactError(f"{file} is no Ed25519 key (`mlops-assets signing-key` makes one)")
    return key


def _own(settings: Settings) -> Path:
    return settings.home / "keys" / "signing.pem"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"the key {file} can't be read: {error.strerror}") from error


def _link(content: bytes, name: Path, mode: int) -> None:
    if name.exists():
        return
    spare = name.with_name(f".{name.name}.{os.urandom(8).hex()}")
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(spare, name)
        except FileExistsError:
            return
    finally:
        spare.unlink()
