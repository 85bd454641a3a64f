"""fsync by a thread: one for all appends that wait, or one an interval."""

import errno
import os
import threading
from concurrent.futures import Future
from pathlib import Path

# It leaves out times that nobody reads; macOS has only the other.
_sync = getattr(os, "fdatasync", os.fsync)


class Committer:
    """A thread that makes written bytes outlive a power loss, and closes descriptors.

    Parameters
    ----------
    interval : float
        Seconds between two fsyncs of what nobody waits for.
    """

    def __init__(self, interval: float):
        self.interval = interval
        self.failed: set[int] = set()
        self._news = threading.Condition()
        self._dirty: set[int] = set()
        self._retired: set[int] = set()
        self._folders: set[Path] = set()
        self._waiting: list[Future[None]] = []
        self._unreported: OSError | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def named(self, *folders: Path) -> None:
        """Say that folders have new names in them, to be synced before what is written next."""
        with self._news:
            self._folders.update(folders)

    def written(self, descriptor: int) -> None:
        """Say that a descriptor was written to, and go on."""
        with self._news:
            if not self._dirty:
                self._wake()
            self._dirty.add(descriptor)

    def commit(self, descriptor: int) -> "Future[None]":
        """Say that a descriptor was written to; done after an fsync that began later.

        The future raises OSError when the fsync fails.
        """
        done: Future[None] = Future()
        with self._news:
            self._dirty.add(descriptor)
            self._waiting.append(done)
            self._wake()
        return done

    def retire(self, descriptor: int) -> None:
        """Sync a descriptor for the last time, then close it."""
        with self._news:
            self._retired.add(descriptor)
            self._wake()

    def unreported(self) -> OSError | None:
        """The error of an fsync that nobody waited for, told once."""
        if self._unreported is None:
            return None
        with self._news:
            error, self._unreported = self._unreported, None
        return error

    def close(self) -> None:
        """Sync and close what is left, and end the thread."""
        with self._news:
            thread, self._thread = self._thread, None
            self._stopping = True
            self._news.notify()
        if thread is not None:
            thread.join()
        self._stopping = False

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="prediction log commits", daemon=True
            )
            self._thread.start()
        self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._dirty or self._retired or self._stopping)
                if not self._waiting:
                    self._news.wait_for(lambda: self._waiting or self._stopping, self.interval)
                dirty, self._dirty = self._dirty, set()
                retired, self._retired = self._retired, set()
                folders, self._folders = self._folders, set()
                waiting, self._waiting = self._waiting, []
                stopping = self._stopping
            self._sync_all(folders, dirty, retired, waiting)
            if stopping and not (self._dirty or self._retired or self._waiting):
                return

    def _sync_all(
        self,
        folders: set[Path],
        dirty: set[int],
        retired: set[int],
        waiting: "list[Future[None]]",
    ) -> None:
        error = None
        for folder in folders:
            try:
                _sync_folder(folder)
            except OSError as failure:
                error = failure
                self.named(folder)
        for descriptor in dirty | retired:
            try:
                _sync(descriptor)
            except OSError as failure:
                # Linux drops the pages it could not write: a second fsync would say all is well.
                error = failure
                self.failed.add(descriptor)
        for descriptor in retired:
            self.failed.discard(descriptor)
            os.close(descriptor)
        if error is not None and not waiting:
            self._unreported = error
        for done in waiting:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # someone deleted it, names and all
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no such thing, and write names at once.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
