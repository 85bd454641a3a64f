"""The files of a packed model: ``plan.json`` and one ``.npy`` for each array.

Everything read here may be crafted. Nothing is unpickled, no path leaves the folder, and an array
is used only after its dtype and shape are those that its step declares.
"""

import re
import tokenize
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.lifecycle.errors import ArtifactError

PLAN_FILE = "plan.json"
PROOF_FILE = "proof.json"
FORMAT = 1

# A mapped file costs a descriptor; a small one is cheaper in memory.
MAPPED_BYTES = 2**16
MOST_PLAN_BYTES = 64 * 2**20
ARRAY_NAME = re.compile(r"[a-z0-9_]{1,64}\.npy")

# What numpy lets through on files that are none, or were crafted.
UNREADABLE = (
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
)

Kind = Literal["number", "truth", "text"]
Option = bool | int | float | str


class PlannedFeature(BaseModel):
    """A column that is asked for: its name, what it holds, and for text the known words."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    kind: Kind
    words: list[str] = []


class PlannedStep(BaseModel):
    """One step: its kind, the file of each of its arrays, and its options."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: str
    arrays: dict[str, str]
    options: dict[str, Option] = {}


class Plan(BaseModel):
    """How the arrays of a folder make a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    task: str
    features: list[PlannedFeature]
    steps: list[PlannedStep]


def write(
    folder: Path,
    task: str,
    features: list[PlannedFeature],
    steps: list[tuple[str, dict[str, np.ndarray], dict[str, Option]]],
) -> None:
    """Write a folder that must not exist; ``steps`` are kinds, arrays and options in order."""
    folder.mkdir()
    planned = []
    for number, (kind, arrays, options) in enumerate(steps):
        files = {name: f"{number}_{name}.npy" for name in arrays}
        for name, array in arrays.items():
            np.save(folder / files[name], array, allow_pickle=False)
        planned.append(PlannedStep(kind=kind, arrays=files, options=options))
    plan = Plan(format=FORMAT, task=task, features=features, steps=planned)
    (folder / PLAN_FILE).write_text(plan.model_dump_json(indent=1), "utf-8")


def read(folder: Path) -> Plan:
    """The plan of a folder.

    Raises
    ------
    ArtifactError
        When it is missing, too large, malformed or of another format.
    """
    file = folder / PLAN_FILE
    try:
        _check_plain(file)
        if file.stat().st_size > MOST_PLAN_BYTES:
            raise ArtifactError(f"{file} is larger than {MOST_PLAN_BYTES} bytes")
        plan = Plan.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{file} is no plan of packed arrays: {error}") from error
    if plan.format != FORMAT:
        raise ArtifactError(f"{file} has format {plan.format} where {FORMAT} is read")
    return plan


def read_array(folder: Path, name: str) -> np.ndarray:
    """One array, read-only, mapped when it is large.

    Raises
    ------
    ArtifactError
        When the name could lead out of the folder, or the file is no plain ``.npy``.
    """
    if not ARRAY_NAME.fullmatch(name):
        raise ArtifactError(f"{folder}: {name!r} is not the name of an array file")
    file = folder / name
    _check_plain(file)
    try:
        # Never a pickle or an archive, unlike np.load. And mapped before anything is copied: a
        # header that claims terabytes fails here, not when memory is asked for.
        mapped = np.lib.format.open_memmap(file, mode="r")
    except UNREADABLE as error:
        raise ArtifactError(f"{file} can't be read as an array: {error}") from error
    array = mapped.view(np.ndarray) if mapped.nbytes >= MAPPED_BYTES else mapped.copy(order="K")
    array = np.asarray(array)
    array.flags.writeable = False
    return array


def _check_plain(file: Path) -> None:
    if file.is_symlink() or not file.is_file():
        raise ArtifactError(f"{file} is missing, or is not a plain file")
