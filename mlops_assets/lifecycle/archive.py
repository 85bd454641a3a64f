"""A skops file before skops reads it: no bomb, and no tree that overruns while it is built.

A skops file is a zip archive with a ``schema.json``, which says what to build, and arrays as
``.npy`` members. Ours are stored without compression, so what unpacks to more than the file itself
was not written by training.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.errors import ArtifactError

SCHEMA_FILE = "schema.json"
MOST_MEMBERS = 200_000
MOST_SCHEMA_BYTES = 512 * 2**20


def check_archive(file: Path) -> None:
    """Check sizes and structure of a skops file; nothing is built.

    Raises
    ------
    ArtifactError
        When it unpacks to more than its own size, reads a member again and again, or holds a
        tree whose outputs are not as many as it says.
    """
    with zipfile.ZipFile(file) as archive:
        sizes = _sizes(archive, file)
        schema = json.loads(archive.read(SCHEMA_FILE))
        states = list(_states(schema))
        _check_reads(states, sizes, file)
        trees = [_TreeArguments.of(s, file) for s in states if s.get("__loader__") == "TreeNode"]
        _check_identities(states, trees, file)
        for tree in trees:
            _check_outputs(tree, archive, file)


def _sizes(archive: zipfile.ZipFile, file: Path) -> dict[str, int]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ArtifactError(f"{file} has {len(members)} members where {MOST_MEMBERS} are the most")
    sizes = {member.filename: member.file_size for member in members}
    if len(sizes) != len(members):
        raise ArtifactError(f"{file} has two members of one name")
    unpacked, packed = sum(sizes.values()), file.stat().st_size
    if unpacked > packed:
        raise ArtifactError(f"{file} unpacks to {unpacked} bytes, more than the {packed} it has")
    if sizes.get(SCHEMA_FILE, 0) > MOST_SCHEMA_BYTES:
        raise ArtifactError(f"{file} has a {SCHEMA_FILE} of {sizes[SCHEMA_FILE]} bytes")
    return sizes


def _states(schema: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in the schema; not by recursion, which a file could exhaust."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_reads(states: list[dict[str, Any]], sizes: dict[str, int], file: Path) -> None:
    # skops reads a member once for each identity that names it.
    read = {(s["file"], s.get("__id__")) for s in states if isinstance(s.get("file"), str)}
    total, there = sum(sizes.get(name, 0) for name, _ in read), sum(sizes.values())
    if total > there:
        raise ArtifactError(f"{file} has members that are to be read several times")


@dataclass(frozen=True)
class _TreeArguments:
    """What ``Tree(n_features, n_classes, n_outputs)`` is called with, as the schema has it."""

    everything: dict[str, Any]
    classes: dict[str, Any]
    outputs: dict[str, Any]

    @classmethod
    def of(cls, tree: dict[str, Any], file: Path) -> "_TreeArguments":
        try:
            everything = tree["__reduce__"]["args"]
            _, classes, outputs = everything["content"]
            return cls(dict(everything), dict(classes), dict(outputs))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{file} has a tree that does not say its outputs") from error


def _check_identities(
    states: list[dict[str, Any]], trees: list[_TreeArguments], file: Path
) -> None:
    # skops builds the first thing with an identity and takes it for each later one: what is
    # checked below must be the only thing that it is called.
    known = {
        part.get("__id__"): part
        for tree in trees
        for part in (tree.everything, tree.classes, tree.outputs)
    }
    known.pop(None, None)
    for state in states:
        identity = state.get("__id__")
        if known.get(identity, state) != state:
            raise ArtifactError(f"{file} names two different things by the identity {identity}")


def _check_outputs(tree: _TreeArguments, archive: zipfile.ZipFile, file: Path) -> None:
    # The constructor reads n_outputs numbers from n_classes unchecked, and fills a C array with
    # them, before anybody could look at the tree.
    import numpy as np

    try:
        count = json.loads(tree.outputs["content"])
        content = archive.read(tree.classes["file"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{file} has a tree that does not say its outputs") from error
    classes = np.load(io.BytesIO(content), allow_pickle=False)
    if classes.shape != (count,) or classes.dtype.kind != "i" or not (classes > 0).all():
        raise ArtifactError(f"{file} has a tree of {count} outputs with classes {classes.shape}")
