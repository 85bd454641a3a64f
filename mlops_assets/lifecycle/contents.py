"""What a version's files say, whenever and wherever they were written.

Two trainings that give the same model give different bytes: skops names objects by their address
in memory, zip archives tell the time, MLflow gives each model an id, and scikit-learn's boosting
remembers how many threads there were. All of these are left out here, and nothing else.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.archive import SCHEMA_FILE
from mlops_assets.lifecycle.artifact import MODEL_FILE

MLMODEL = "MLmodel"
BINNING = "_BinMapper"
TOLD_APART = frozenset(
    {"artifact_path", "model_id", "model_uuid", "run_id", "utc_time_created", "prompts"}
)


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of what each file of a version says, by its path within the version."""
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def skops_digest(file: Path) -> str:
    """SHA-256 of a *verified* skops file's schema and arrays, without addresses and times.

    Objects are numbered in the order in which the schema names them, so that two files agree
    when, and only when, they build the same objects with the same identities among them.
    """
    with zipfile.ZipFile(file) as archive:
        schema = json.loads(archive.read(SCHEMA_FILE))
        arrays = {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name != SCHEMA_FILE
        }
    numbers: dict[Any, int] = {}
    plain = _numbered(schema, arrays, numbers)
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _content(path: Path) -> str:
    if path.name == MODEL_FILE:
        return skops_digest(path)
    if path.name == MLMODEL:
        return hashlib.sha256(_described(path).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _described(path: Path) -> str:
    import yaml

    said = yaml.safe_load(path.read_text("utf-8"))
    kept = {key: value for key, value in said.items() if key not in TOLD_APART}
    # It counts the bytes of addresses and times as well.
    kept.pop("model_size_bytes", None)
    return json.dumps(kept, sort_keys=True, default=str)


def _numbered(value: Any, arrays: dict[str, str], numbers: dict[Any, int], inside: str = "") -> Any:
    if isinstance(value, list):
        return [_numbered(each, arrays, numbers, inside) for each in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    kind = value.get("__class__", inside)
    if kind != "dict":  # which an object's attributes are in
        inside = kind
    for name, part in value.items():
        if name == "n_threads" and inside == BINNING:
            continue
        if name == "__id__":
            if value.get("__loader__") == "JsonNode":
                continue  # a number or a text: which of them are one object means nothing
            made[name] = numbers.setdefault(part, len(numbers))
        elif name == "file" and isinstance(part, str) and part in arrays:
            made[name] = arrays[part]
        else:
            made[name] = _numbered(part, arrays, numbers, inside)
    return made
