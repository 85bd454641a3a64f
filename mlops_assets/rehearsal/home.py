"""The folder that something is played in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError

LOCK = "lock"


def made(home: Path) -> Path:
    """The folder, made where it is not there.

    Raises
    ------
    DeclarationError
        When it can't be made or written to.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / LOCK).touch()
    except OSError as error:
        raise DeclarationError(f"--home {home}: {error.strerror}") from None
    return home


def is_empty(home: Path) -> bool:
    """Whether nothing was ever played there, nor anything else is kept in the folder."""
    return not home.is_dir() or all(file.name == LOCK for file in home.iterdir())


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold a home; a process that died holds none.

    Raises
    ------
    EvidenceError
        When another process holds it.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(home / LOCK, timeout=0):
            yield
    except Timeout:
        raise EvidenceError(f"another process plays in {home}") from None
