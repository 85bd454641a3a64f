"""Packing and proving in a process of their own.

Training's own process keeps its memory and its threads, and a defect of a compiler or of a
library ends that process alone: the version is then served by its estimator.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import ArtifactError

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.packed.proving import Proof

PACKED_FOLDER = "packed"
HOLD_OUT_FILE = "hold_out.parquet"
REASON_FILE = "reason.txt"
SECONDS = 600.0
NOT_PACKABLE = 3


def convert_in_process(
    version_folder: Path,
    hold_out: "pd.DataFrame",
    trusted: tuple[str, ...] = (),
    seconds: float = SECONDS,
) -> "Proof | str":
    """Pack a verified version into ``<version_folder>/packed``, proved on its hold-out.

    The folder appears whole or not at all.

    Parameters
    ----------
    version_folder : Path
        With the version's skops file and ``serving.json``, verified.
    hold_out : DataFrame
        With the features that ``serving.json`` names; other columns are left aside.
    trusted : tuple of str
        Classes trusted beyond the platform's list.
    seconds : float
        Wall-clock time that it may take.

    Returns
    -------
    Proof or str
        Or why the version has to be served by its estimator.

    Raises
    ------
    ArtifactError
        When the version is packed already.
    """
    from mlops_assets.lifecycle.artifact import read_serving
    from mlops_assets.lifecycle.packed.plan import PROOF_FILE
    from mlops_assets.lifecycle.packed.proving import Proof

    target = version_folder / PACKED_FOLDER
    if target.exists():
        raise ArtifactError(f"{target} exists already")
    # Beside the version, so that the move at the end is one rename.
    with TemporaryDirectory(prefix=".packing-", dir=version_folder.parent) as name:
        private = Path(name)
        asked = hold_out[[feature.name for feature in read_serving(version_folder).features]]
        try:
            asked.to_parquet(private / HOLD_OUT_FILE, index=False)
        except (TypeError, ValueError) as error:
            return f"the hold-out can't be handed over as Parquet: {error}"
        reason = _run(version_folder, private, trusted, seconds)
        if reason is not None:
            return reason
        made = private / PACKED_FOLDER
        proof = Proof.model_validate_json((made / PROOF_FILE).read_bytes())
        os.rename(made, target)
    return proof


def _run(version: Path, private: Path, trusted: tuple[str, ...], seconds: float) -> str | None:
    """Why it was not packed, or None when it was."""
    command = [sys.executable, "-m", __name__, str(version.absolute()), str(private), *trusted]
    try:
        child = subprocess.run(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"packing took longer than {seconds:g} seconds"
    if child.returncode == 0:
        return None
    if child.returncode == NOT_PACKABLE:
        return (private / REASON_FILE).read_text("utf-8")
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:500] if lines else "no message"
    return f"the packing process ended with code {child.returncode}: {last}"


def _environment() -> dict[str, str]:
    # One thread: what threads add up comes out in any order, and the cores are the training's.
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, **one_thread, "PYTHONPATH": path}


def main(version: Path, private: Path, trusted: tuple[str, ...]) -> int:
    """Pack, prove, write the proof; the exit code."""
    import pandas as pd

    from mlops_assets.lifecycle.artifact import load_estimator, read_serving
    from mlops_assets.lifecycle.packed.errors import NotPackable
    from mlops_assets.lifecycle.packed.packers import pack
    from mlops_assets.lifecycle.packed.plan import PROOF_FILE
    from mlops_assets.lifecycle.packed.proving import prove

    made = private / PACKED_FOLDER
    serving = read_serving(version)
    estimator = load_estimator(version, trusted)
    hold_out = pd.read_parquet(private / HOLD_OUT_FILE)
    try:
        pack(estimator, serving.features, serving.task, made)
        proof = prove(made, estimator, hold_out, serving.task)
    except NotPackable as error:
        shutil.rmtree(made, ignore_errors=True)
        (private / REASON_FILE).write_text(str(error), "utf-8")
        return NOT_PACKABLE
    (made / PROOF_FILE).write_text(proof.model_dump_json(indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:])))
