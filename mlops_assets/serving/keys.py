"""API keys: a file of hashes, and what each key may do."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.serving.errors import RequestError, shown

EVERY_MODEL = "*"
# A probe is not among the traffic that is watched: it takes a key that may keep out of sight.
ACTIONS = ("predict", "feedback", "metrics", "probe")
Action = Literal["predict", "feedback", "metrics", "probe"]


class Key(BaseModel):
    """One entry of the file: the hash of a key, never the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    models: Annotated[list[str], Field(min_length=1)]
    actions: Annotated[list[Action], Field(min_length=1)] = ["predict", "feedback"]

    def sees(self, model: str) -> bool:
        """Whether the key's scope has a model."""
        return EVERY_MODEL in self.models or model in self.models


class Keys:
    """The keys of a server.

    Parameters
    ----------
    keys : list of Key
    """

    def __init__(self, keys: list[Key]):
        self._keys = [(bytes.fromhex(key.sha256), key) for key in keys]

    @classmethod
    def read(cls, file: Path) -> "Keys":
        """The keys of a YAML file.

        Raises
        ------
        DeclarationError
            Naming file, entry and field.
        """
        try:
            entries = TypeAdapter(list[Key]).validate_python(
                yaml.safe_load(file.read_text("utf-8"))
            )
        except OSError as error:
            raise DeclarationError(f"the API keys can't be read: {error}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DeclarationError(f"{file} is no YAML: {error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise DeclarationError(f"{file}, {where}: {first['msg']}") from error
        names = [entry.name for entry in entries]
        if not entries or len(set(names)) != len(names):
            raise DeclarationError(f"{file}: expected keys, each with a name of its own")
        return cls(entries)

    def find(self, headers: Mapping[bytes, bytes]) -> Key:
        """The entry of the key a request was sent with.

        Every hash is compared, each in a time that does not tell how much of it fits.

        Raises
        ------
        RequestError
            401 without a key, or with one that is not in the file.
        """
        sent = headers.get(b"x-api-key")
        if sent is None:
            scheme, _, sent = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer":
                sent = b""
        if not sent:
            raise RequestError(401, "send an API key: Authorization: Bearer KEY, or x-api-key: KEY")
        digest = hashlib.sha256(sent.strip()).digest()
        found = None
        for known, key in self._keys:
            if hmac.compare_digest(known, digest):
                found = key
        if found is None:
            raise RequestError(401, "the API key is not known")
        return found


def check_scope(key: Key, action: Action, model: str | None = None) -> None:
    """Refuse what a key's scope has not.

    Raises
    ------
    RequestError
        403, naming key, action and model.
    """
    if action not in key.actions:
        raise RequestError(403, f"the key {key.name!r} may not {action}; it may {key.actions}")
    if model is not None and not key.sees(model):
        raise RequestError(403, f"the key {key.name!r} has no access to the model {shown(model)}")


def new_key(name: str, models: list[str], actions: list[Action]) -> tuple[str, Key]:
    """A new key, and its entry for the file."""
    secret = f"mlops_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return secret, Key(name=name, sha256=digest, models=models, actions=actions)
