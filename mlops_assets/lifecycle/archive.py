"""A skops file before skops reads it: it unpacks to what it is, and no more.

A skops file is a zip archive with a ``schema.json``, which says what to build, and arrays as
``.npy`` members. Ours are stored without compression, so what unpacks to more than the file itself
was not written by training.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.errors import ArtifactError

SCHEMA_FILE = "schema.json"
MOST_MEMBERS = 200_000
MOST_SCHEMA_BYTES = 512 * 2**20


def check_archive(file: Path) -> None:
    """Check what a skops file would take to read; nothing is built.

    Raises
    ------
    ArtifactError
        When it unpacks to more than its own size, or has skops read a member again and again.
    """
    with zipfile.ZipFile(file) as archive:
        sizes = _sizes(archive, file)
        schema = json.loads(archive.read(SCHEMA_FILE))
        _check_reads(_states(schema), sizes, file)


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


def _check_reads(states: Iterator[dict[str, Any]], sizes: dict[str, int], file: Path) -> None:
    # skops reads a member once for each identity that names it, and every time where there is none.
    known, total, there = set(), 0, sum(sizes.values())
    for state in states:
        name, identity = state.get("file"), state.get("__id__")
        if isinstance(name, str) and not (identity and (name, identity) in known):
            known.add((name, identity))
            total += sizes.get(name, 0)
    if total > there:
        raise ArtifactError(f"{file} has members that are to be read several times")
