"""Signed versions: who made a version, and exactly which.

A signature is an in-toto statement in a DSSE envelope (https://github.com/in-toto/attestation,
Statement v1; https://github.com/secure-systems-lab/dsse, protocol v1), signed with Ed25519, so that
tools that know nothing of this platform can check it. It names the model, the version's number, the
digest of its files, and every tag it was registered with (the fingerprint of data, code and
environment among them): a valid signature says nothing about any other version.

Why not ``model-signing``: its statement holds the files alone. It could be carried to another name
or number, and its verifiers ignore any further field.
"""

import base64
import json
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.signing_keys import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:mlops-assets:model-version:v1"
PAYLOAD = "application/vnd.in-toto+json"


def sign(
    key: "Ed25519PrivateKey", model: str, number: int, run_id: str, tags: dict[str, str]
) -> str:
    """The envelope of a version, as JSON.

    Parameters
    ----------
    tags : dict of str to str
        Everything the version is registered with; ``digest`` among it.
    """
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": f"{model} v{number}", "digest": {"sha256": tags["digest"]}}],
        "predicateType": PREDICATE,
        "predicate": {"model": model, "version": number, "run_id": run_id, "tags": tags},
    }
    payload = json.dumps(statement, sort_keys=True).encode()
    signature = {"keyid": key_id(key.public_key()), "sig": _text(key.sign(_encoded(payload)))}
    return json.dumps(
        {"payload": _text(payload), "payloadType": PAYLOAD, "signatures": [signature]}
    )


def verify(
    keys: "dict[str, Ed25519PublicKey]",
    envelope: str,
    model: str,
    number: int,
    run_id: str,
    tags: dict[str, str],
) -> None:
    """Check that a trusted key signed exactly this version.

    Parameters
    ----------
    tags : dict of str to str
        The version's tags as they are now; those that were set later are not covered.

    Raises
    ------
    ArtifactError
        When the envelope is none, nobody trusted signed it, or it is another version's.
    """
    statement = _opened(keys, envelope)
    signed = statement["predicate"]
    if (signed["model"], signed["version"], signed["run_id"]) != (model, number, run_id):
        raise ArtifactError(f"its signature is that of {signed['model']} v{signed['version']}")
    changed = sorted(name for name, value in signed["tags"].items() if tags.get(name) != value)
    if changed:
        raise ArtifactError(f"these tags are not as they were signed: {', '.join(changed)}")
    # What a tag says is worth nothing when it was not signed.
    if "digest" not in signed["tags"]:
        raise ArtifactError("its signature covers no digest")


def _opened(keys: "dict[str, Ed25519PublicKey]", envelope: str) -> dict[str, Any]:
    from cryptography.exceptions import InvalidSignature

    try:
        outer = json.loads(envelope)
        payload = base64.b64decode(outer["payload"], validate=True)
        (signature,) = outer["signatures"]
        signed_by = str(signature["keyid"])
        proof = base64.b64decode(signature["sig"], validate=True)
        kind = outer["payloadType"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError("its signature can't be read") from error
    key = keys.get(signed_by)
    if key is None:
        known = ", ".join(sorted(keys)) or "none"
        raise ArtifactError(
            f"it is signed by the key {signed_by[:16]!r}, which is not trusted here ({known} is): "
            "see MLOPS_VERIFY_KEYS"
        )
    try:
        key.verify(proof, _encoded(payload))
    except InvalidSignature as error:
        raise ArtifactError("its signature is wrong: what it says was changed") from error
    statement = _json_object(payload)
    said = (kind, statement.get("_type"), statement.get("predicateType"))
    if said != (PAYLOAD, STATEMENT, PREDICATE):
        raise ArtifactError("what is signed is no version of a model")
    return statement


def _json_object(payload: bytes) -> dict[str, Any]:
    # A trusted key signed it, but maybe for another purpose than ours.
    try:
        found = json.loads(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the signed bytes can't be taken for another kind's."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
