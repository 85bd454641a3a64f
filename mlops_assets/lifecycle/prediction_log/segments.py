"""Segment files: one folder a model, each file written by one process and locked while it is.

The lock (``flock``) is the kernel's: it ends with the process, however that ends, so a segment
that nobody writes to any more can be told from one that is still written. It holds on a local
disk, not on every network file system.
"""

import fcntl
import os
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from mlops_assets.lifecycle.prediction_log.committer import Committer

SEGMENT_BYTES = 64 * 1024 * 1024
SYNC_SECONDS = 1.0
Durability = Literal["write", "group_commit"]


class SegmentWriter:
    """Appends to segments below ``folder``, safe to share between threads.

    Parameters
    ----------
    folder : Path
    segment_bytes : int
        A segment that has reached this size is followed by a new one.
    durability : {"write", "group_commit"}
        ``write``: an append is safe from a crash of the process when it returns, and from a loss
        of power after the next fsync. ``group_commit``: it returns after an fsync, which all
        appends that wait share.
    sync_seconds : float
        Between two fsyncs, for ``write``.
    """

    def __init__(
        self,
        folder: Path,
        segment_bytes: int = SEGMENT_BYTES,
        durability: Durability = "write",
        sync_seconds: float = SYNC_SECONDS,
    ):
        if durability not in ("write", "group_commit"):
            raise ValueError(f"durability is 'write' or 'group_commit', not {durability!r}")
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.durability = durability
        self.sync_seconds = sync_seconds
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        # A process id comes back after a reboot and in every container; the rest does not.
        self._writer = f"{self._pid}-{time.time_ns()}-{os.urandom(4).hex()}"
        self._segments = 0
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()
        self._committer = Committer(self.sync_seconds)

    def append(self, model: str, data: bytes) -> None:
        """Write whole lines in a single system call.

        Raises
        ------
        OSError
            When not every byte was written, or (``group_commit``) not every byte is on the disk.
        """
        done = self.append_soon(model, data)
        if done is not None:
            done.result()

    def append_soon(self, model: str, data: bytes) -> "Future[None] | None":
        """Write whole lines; with ``group_commit`` the future is done when they are on the disk."""
        if os.getpid() != self._pid:
            # A fork: the parent goes on in its segments; closing our copies frees no lock of its.
            for descriptor in self._open.values():
                os.close(descriptor)
            self._begin()
        with self._lock:
            lost = self._committer.unreported()
            if lost is not None:
                raise OSError(lost.errno, f"earlier records may be lost: {lost.strerror}")
            descriptor = self._segment(model)
            written = os.write(descriptor, data)
            if written != len(data):
                # What follows a torn line in the same segment would read as corruption.
                self._retire(model)
                raise OSError(
                    f"only {written} of {len(data)} bytes were written to the log of {model} "
                    f"in {self.folder}"
                )
            if self.durability == "group_commit":
                return self._committer.commit(descriptor)
            self._committer.written(descriptor)
        return None

    def close(self) -> None:
        """Sync and close the segments; a later append begins new ones."""
        with self._lock:
            for model in list(self._open):
                self._retire(model)
            self._committer.close()

    def _segment(self, model: str) -> int:
        descriptor = self._open.get(model)
        if descriptor is not None:
            state = os.fstat(descriptor)
            # A segment that someone deleted would swallow every record without an error.
            usable = state.st_nlink and descriptor not in self._committer.failed
            if usable and state.st_size < self.segment_bytes:
                return descriptor
            self._retire(model)
        folder = model_folder(self.folder, model)
        folder.mkdir(parents=True, exist_ok=True)
        self._open[model] = self._create(folder)
        return self._open[model]

    def _create(self, folder: Path) -> int:
        while True:
            name = f"{self._writer}-{self._segments:06d}.log"
            self._segments += 1
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            descriptor = os.open(folder / name, flags, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Before it was locked, a compactor could take it for a closed one and delete it.
                if os.fstat(descriptor).st_nlink:
                    # A file whose name is not on the disk is lost with the power, synced or not.
                    self._committer.named(folder, folder.parent)
                    return descriptor
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _retire(self, model: str) -> None:
        descriptor = self._open.pop(model)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        self._committer.retire(descriptor)


def model_folder(folder: Path, model: str) -> Path:
    """Where the segments of a model are.

    Raises
    ------
    ValueError
        For a name that would lead out of the folder.
    """
    if not model or Path(model).name != model or model.startswith(".") or "\0" in model:
        raise ValueError(f"{model!r} is no name of a model")
    return folder / model


def models_in(folder: Path) -> list[str]:
    """The models that have, or had, segments below a folder."""
    return sorted(f.name for f in folder.glob("*") if f.is_dir() and not f.name.startswith("."))


def segment_files(folder: Path, model: str) -> list[Path]:
    """The segments of a model, oldest writer first."""
    return sorted(model_folder(folder, model).glob("*.log"))


def is_closed(file: Path) -> bool:
    """Whether nobody writes to a segment any more.

    Raises
    ------
    FileNotFoundError
    """
    with file.open("rb") as stream:
        return _locked(stream.fileno(), fcntl.LOCK_SH)


def delete_if_closed(file: Path, size: int) -> bool:
    """Delete a segment, if it is closed and has exactly this size; whether it was deleted."""
    try:
        with file.open("rb") as stream:
            # Held while it is deleted, so that no writer takes it up in between.
            if not _locked(stream.fileno(), fcntl.LOCK_EX):
                return False
            if os.fstat(stream.fileno()).st_size != size:
                return False
            file.unlink()
    except FileNotFoundError:
        return False
    return True


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
