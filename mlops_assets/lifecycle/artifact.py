"""A model version as files: written with skops, digested, verified before anything is parsed.

The list of classes a file may hold is the platform's own. The one inside an MLflow model
(``skops_trusted_types`` in ``MLmodel``) is never read: a crafted file could name anything there.
"""

import hashlib
import shutil
import stat
import warnings
import zlib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict

from mlops_assets.lifecycle.archive import check_archive
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.partials import check_partials
from mlops_assets.lifecycle.reachable import reachable
from mlops_assets.lifecycle.svm_bounds import check_vectors
from mlops_assets.lifecycle.tree_bounds import check_trees
from mlops_assets.lifecycle.trusted_types import TRUSTED_TYPES as TRUSTED_TYPES

if TYPE_CHECKING:
    import pandas as pd

MODEL_FILE = "model.skops"
SERVING_FILE = "serving.json"
EXAMPLE_FILE = "example.parquet"
MOST_FILES = 1000
MOST_BYTES = 4 * 2**30

# What skops lets through on files that are none, or were crafted.
UNREADABLE = (
    AttributeError,
    BadZipFile,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)


class Feature(BaseModel):
    """A column the estimator sees: its name and its pandas dtype."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    dtype: str


class Serving(BaseModel):
    """What a server has to know about a version, stored beside the model as ``serving.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    task: str
    features: list[Feature]
    unit: str | None
    time: str | None
    key: list[str]


def write_version(
    folder: Path,
    estimator: Any,
    serving: Serving,
    example: "pd.DataFrame",
    output: Any,
    trusted: tuple[str, ...] = (),
) -> str:
    """:func:`write_files` of a version that has no more files; return the digest of the folder."""
    write_files(folder, estimator, serving, example, output, trusted)
    return folder_digest(folder)


def write_files(
    folder: Path,
    estimator: Any,
    serving: Serving,
    example: "pd.DataFrame",
    output: Any,
    trusted: tuple[str, ...] = (),
) -> None:
    """Save an estimator as an MLflow model with a skops file.

    Parameters
    ----------
    folder : Path
        Must not exist.
    example : DataFrame of shape (n_rows, n_features)
        Input example, from which the signature is inferred.
    output : array-like
        What the estimator answers to ``example``.
    trusted : tuple of str
        Classes trusted beyond the platform's list.

    Raises
    ------
    ArtifactError
        When the estimator holds a class that is not on the list, naming it.
    """
    import mlflow.sklearn

    allowed = [*TRUSTED_TYPES, *trusted]
    check_types(estimator, allowed)
    mlflow.sklearn.save_model(
        estimator,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=allowed,
        signature=_signature(example, output),
        input_example=example,
        pip_requirements=_requirements(),
        pyfunc_predict_fn="predict" if hasattr(estimator, "predict") else "recommend",
    )
    (folder / SERVING_FILE).write_text(serving.model_dump_json(indent=2), "utf-8")
    example.to_parquet(folder / EXAMPLE_FILE, index=False)


def check_types(estimator: Any, allowed: list[str]) -> None:
    """Refuse an estimator that could not be loaded again.

    Raises
    ------
    ArtifactError
        Naming the classes that are neither skops' defaults nor on the list.
    """
    import skops.io

    unknown = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
    refused = sorted(set(unknown) - set(allowed))
    if refused:
        raise ArtifactError(
            f"the model holds classes that are not on the platform's list: {', '.join(refused)}; "
            "an operator can add them through MLOPS_TRUSTED_TYPES"
        )


def folder_digest(folder: Path) -> str:
    """SHA-256 over every file's relative path and content, as 64 hex digits.

    Raises
    ------
    ArtifactError
        On a link: what it points at could be swapped after the check.
    """
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ArtifactError(f"{path} is a link; a version consists of plain files")
        if path.is_file():
            state.update(path.relative_to(folder).as_posix().encode() + b"\0")
            state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def take_verified(source: Path, target: Path, digest: str) -> Path:
    """Copy a version's files to a private folder and verify the copy, so none can be swapped.

    Raises
    ------
    ArtifactError
        When a file is missing, added or changed since training, or is no plain file.
    """
    if not source.is_dir():
        raise ArtifactError(f"the version's files are gone: {source}")
    _check_copyable(source)
    if target.exists():
        shutil.rmtree(target)
    try:
        shutil.copytree(source, target, symlinks=True)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise ArtifactError(f"the files in {source} can't be copied: {error}") from error
    try:
        check_digest(target, digest, source)
    except ArtifactError:
        shutil.rmtree(target)
        raise
    return target


def check_digest(folder: Path, digest: str, source: Path | None = None) -> None:
    """Verify a version's files, wherever they came from.

    Raises
    ------
    ArtifactError
        When a file is missing, added or changed since training, or is a link.
    """
    found = folder_digest(folder)
    if found != digest:
        raise ArtifactError(
            f"the files in {source or folder} are not those that were trained: "
            f"digest {found[:12]}, registered {digest[:12]}"
        )


def _check_copyable(source: Path) -> None:
    # A pipe would be waited on for ever, and a huge file fill the disk, before any digest is known.
    paths = list(islice(source.rglob("*"), MOST_FILES + 1))
    if len(paths) > MOST_FILES:
        raise ArtifactError(f"{source} has more than {MOST_FILES} files")
    size = 0
    for path in paths:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            kind = "a link" if stat.S_ISLNK(found.st_mode) else "a device or pipe"
            raise ArtifactError(f"{path} is {kind}; a version consists of plain files")
        size += found.st_size
    if size > MOST_BYTES:
        raise ArtifactError(f"{source} has {size} bytes where {MOST_BYTES} are the most")


def read_serving(folder: Path) -> Serving:
    """The serving description of a verified version."""
    return Serving.model_validate_json((folder / SERVING_FILE).read_text("utf-8"))


def read_example(folder: Path) -> "pd.DataFrame":
    """The input example of a verified version, shape (n_rows, n_features)."""
    import pandas as pd

    return pd.read_parquet(folder / EXAMPLE_FILE)


def load_estimator(folder: Path, trusted: tuple[str, ...] = ()) -> Any:
    """Load the estimator of a *verified* version; nothing is unpickled.

    Raises
    ------
    ArtifactError
        When the file is no skops file, unpacks to more than it is, or holds a class that is not
        on the platform's list, or numbers that would lead C code out of its arrays.
    """
    import skops.io

    allowed = {*TRUSTED_TYPES, *trusted}
    file = folder / MODEL_FILE
    try:
        check_archive(file)
        refused = sorted(set(skops.io.get_untrusted_types(file=file)) - allowed)
        if not refused:
            estimator = skops.io.load(file, trusted=sorted(allowed))
            held = list(reachable(estimator))
            check_partials(held)
            check_trees(held)
            check_vectors(held)
            return estimator
    except UNREADABLE as error:
        raise ArtifactError(f"{file} can't be read as a skops file: {error}") from error
    raise ArtifactError(f"{file} holds classes that are not allowed: {', '.join(refused)}")


def _signature(example: Any, output: Any) -> Any:
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        # About rows that MLflow's own server would check: the one here checks by its own rules.
        warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer")
        return infer_signature(example, output)


def _requirements() -> list[str]:
    from importlib.metadata import version

    names = ("scikit-learn", "skops", "numpy", "pandas", "scipy")
    return [f"{name}=={version(name)}" for name in names]
