"""The peers: in an environment of their own, each asked in a process of its own."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).absolute().parents[2]
SCRIPTS = ROOT / "benchmarks" / "peers"
EVIDENTLY, NANNYML, ALIBI, WHYLOGS = "Evidently", "NannyML", "alibi-detect", "whylogs"
# By name: the script, and what has to be importable.
PEERS = {
    EVIDENTLY: ("drift_evidently", "evidently"),
    NANNYML: ("drift_nannyml", "nannyml"),
    ALIBI: ("drift_alibi", "alibi_detect"),
    WHYLOGS: ("drift_whylogs", "whylogs"),
}
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
NO_TRACKING = {
    "DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "WHYLOGS_NO_ANALYTICS": "True",
}


class PeerError(Exception):
    """A peer ended without an answer."""


class Peers:
    """The interpreter that has them.

    Parameters
    ----------
    folder : Path
        Of virtual environments; theirs is ``drift`` below it.
    """

    def __init__(self, folder: Path):
        self.place = folder.absolute() / "drift"
        self.python = self.place / "bin" / "python"

    def make(self) -> None:
        """Install them, or bring them up to date."""
        venv.create(self.place, with_pip=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--upgrade"]
        subprocess.run([*pip, "pip"], check=True)
        subprocess.run([*pip, "-r", SCRIPTS / "drift.txt"], check=True)
        print(f"drift: installed in {self.place}", flush=True)

    def has(self, name: str) -> bool:
        """Whether a peer is installed."""
        return self.find(PEERS[name][1]) is not None

    def find(self, module: str) -> Path | None:
        """Where a module of theirs is, without importing it."""
        if not self.python.exists():
            return None
        words = f"import importlib.util as u; s = u.find_spec({module!r}); print(s.origin)"
        found = subprocess.run([self.python, "-c", words], capture_output=True, text=True)
        return Path(found.stdout.strip()).parent if found.returncode == 0 else None

    def ask(self, script: str, *arguments: Any) -> Any:
        """What a script of ``benchmarks/peers`` answers.

        Raises
        ------
        PeerError
            With the end of what it said.
        """
        return run([self.python, SCRIPTS / f"{script}.py", *arguments])


def run_ours(script: Path, *arguments: Any) -> Any:
    """The same of a script of ours, with this checkout's package."""
    paths = os.pathsep.join([str(ROOT), str(SCRIPTS)])
    return run([sys.executable, script, *arguments], PYTHONPATH=paths)


def run(command: list[Any], **environment: str) -> Any:
    """The JSON on the last line of what a process prints, with one thread for linear algebra.

    Raises
    ------
    PeerError
    """
    done = subprocess.run(
        [str(word) for word in command],
        env=dict(os.environ) | ONE_THREAD | NO_TRACKING | environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PeerError(f"{command[1]}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
