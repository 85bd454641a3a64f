"""Running a script that may do harm: without our secrets, our network or much of the machine.

What it keeps out depends on the kernel. Where user namespaces are allowed (``namespaces``), the
script has no network, sees no other process (whose environment it could read) and leaves none
behind. Where they are not (``process``), only the environment, the folder, time and memory are
limited. In both, it reads and writes whatever files the user may read and write: who needs more
runs the platform in a container.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from mlops_assets.lifecycle.errors import ArtifactError

NAMESPACES, PROCESS = "namespaces", "process"
UNSHARE = (
    "unshare",
    "--user",
    "--map-current-user",
    "--net",
    "--ipc",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
SAID_FILE = "stderr"
SAID_CHARACTERS = 500

log = logging.getLogger(__name__)


def run(script: Path, argument: str, folder: Path, seconds: float) -> None:
    """Run a Python script in ``folder``.

    Parameters
    ----------
    script : Path
        Sets its own limits on memory and file size before it does anything else.
    argument : str
    folder : Path
        Private: the working folder and the home of the script.
    seconds : float
        Wall-clock time that it may take.

    Raises
    ------
    ArtifactError
        With the last line it wrote, when it fails or takes too long.
    """
    command = [sys.executable, "-I", str(script), argument]
    if isolation() == NAMESPACES:
        command = [*UNSHARE, *command]
    else:
        log.warning("user namespaces are not allowed here: the pickle's code reaches the network")
    with (folder / SAID_FILE).open("wb") as said:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        code = _wait(child, seconds)
    if code is None:
        raise ArtifactError(f"it took longer than {seconds:g} seconds")
    if code != 0:
        raise ArtifactError(_last_line(folder / SAID_FILE) or f"its process ended with code {code}")


@lru_cache
def isolation() -> str:
    """What keeps a script apart on this machine: ``namespaces`` or ``process``."""
    if shutil.which(UNSHARE[0]) is None:
        return PROCESS
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False, timeout=30)
    return NAMESPACES if tried.returncode == 0 else PROCESS


def _wait(child: subprocess.Popen, seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # Also after a good end: what the script started must not outlive it.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
    }


def _last_line(file: Path) -> str:
    with file.open("rb") as said:
        said.seek(max(0, file.stat().st_size - 8 * SAID_CHARACTERS))
        lines = said.read().decode("utf-8", "replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    # The script wrote it: it must not forge a line of our log or paint a terminal.
    return "".join(c if c.isprintable() else "?" for c in last.strip())[:SAID_CHARACTERS]
