"""Digests of data, configuration, code and environment."""

import hashlib
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def digest_of(*parts: Any) -> str:
    """SHA-256 (32 hex digits) of JSON-able values, independent of the order of keys."""
    text = json.dumps([_plain(p) for p in parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def row_hashes(frame: "pd.DataFrame") -> "np.ndarray":
    """A 64-bit hash of each row's values, shape (n_rows,), independent of the row's position."""
    import pandas as pd

    columns = sorted(frame.columns)
    return pd.util.hash_pandas_object(frame[columns], index=False).to_numpy()


def frame_digest(frame: "pd.DataFrame") -> str:
    """SHA-256 (32 hex digits) of a frame's columns, dtypes and values in order."""
    state = hashlib.sha256()
    state.update(json.dumps([[c, str(t)] for c, t in frame.dtypes.items()]).encode())
    state.update(row_hashes(frame).tobytes())
    return state.hexdigest()[:32]


@lru_cache
def environment() -> dict[str, str]:
    """The version of Python and of every installed distribution, by name."""
    from importlib.metadata import distributions

    return {"python": sys.version} | {d.name: d.version for d in distributions()}


@lru_cache
def environment_digest() -> str:
    """Digest of the Python version and every installed distribution with its version."""
    from importlib.metadata import distributions

    installed = sorted({f"{d.name}=={d.version}" for d in distributions()})
    return digest_of(sys.version, installed)


@lru_cache
def file_digest(path: Path) -> str:
    """SHA-256 (32 hex digits) of one file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


@lru_cache
def git_commit(folder: Path) -> str:
    """The commit checked out at ``folder``, ``-dirty`` appended when it was changed since.

    ``"not a git checkout"`` where there is none, or no git.
    """
    command = [
        "git",
        "-C",
        str(folder),
        "describe",
        "--always",
        "--exclude=*",
        "--dirty",
        "--abbrev=40",
    ]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return "not a git checkout"
    return run.stdout.strip() if run.returncode == 0 else "not a git checkout"
