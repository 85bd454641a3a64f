"""A PostgreSQL server of the tests' own, in a temporary folder."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_assets_tests.harness import free_port

# Debian keeps the server's commands off the path.
DEBIAN = "/usr/lib/postgresql"


def commands() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``, if PostgreSQL is installed."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    return next((f.parent for f in sorted(Path(DEBIAN).glob("*/bin/initdb"), reverse=True)), None)


@contextmanager
def running(binaries: Path) -> Iterator[str]:
    """Start an empty server; yields its SQLAlchemy URL."""
    # Not in pytest's folder: each start of pytest takes it away from other users.
    with TemporaryDirectory(prefix="mlops-postgres-") as name:
        yield from _running(binaries, Path(name), free_port())


def _running(binaries: Path, folder: Path, port: int) -> Iterator[str]:
    data = folder / "data"
    as_server = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_server = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres", "postgres")

    def run(command: str, *arguments: str) -> None:
        subprocess.run(
            [*as_server, binaries / command, "-D", data, *arguments],
            check=True, stdout=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip

    run("initdb", "--auth=trust", "--username=tests", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "start", "--wait", "-o", options, "-l", str(folder / "log"))
    try:
        yield f"postgresql+psycopg2://tests@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "stop", "--mode=immediate")
