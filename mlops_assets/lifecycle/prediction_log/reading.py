"""Reading segments and database as one, whatever the compactor has moved or is moving."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.prediction_log.lines import document, line_number, raw_lines
from mlops_assets.lifecycle.prediction_log.rows import Condition
from mlops_assets.lifecycle.prediction_log.segments import (
    is_closed,
    model_folder,
    models_in,
    segment_files,
)

if TYPE_CHECKING:
    from mlops_assets.lifecycle.prediction_log.store import LogStore

MARKER = ".moved_to"  # beside the models' folders: the id of the database that segments moved to
DATABASE = ".store.db"


@dataclass
class Torn:
    """Counts last lines that a crash cut off."""

    lines: int = 0


@dataclass(frozen=True)
class Query:
    """Which documents of a model's: those whose row meets a condition.

    What is still in segments is not cut by it: the caller looks at each document anyway.
    """

    model: str
    condition: Condition


class Merged:
    """The documents of a log, decoded, each once.

    Parameters
    ----------
    folder : Path
    kind : str
        Which of the database's tables.
    decode : callable
        From a document to what is yielded; raises ValueError, KeyError or TypeError.
    database : str or None
        SQLAlchemy URL; None for the SQLite file in ``home``.
    home : Path
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        decode: Callable[[bytes | str], Any],
        database: str | None,
        home: Path,
    ):
        self.home = home
        self.folder = folder
        self.kind = kind
        self.decode = decode
        self.database = database
        self._store: LogStore | None = None

    def read(self, query: Query, torn: Torn) -> Generator[Any, None, None]:
        """What meets a query, and all that is not yet in the database.

        Raises
        ------
        EvidenceError
            For a damaged line, or a database that is not the one that segments moved to.
        """
        model_folder(self.folder, query.model)  # a wrong name is wrong with a database too
        # In this order: what is moved after it was listed is found in the database, and what is
        # deleted after it was listed is asked for there.
        files = segment_files(self.folder, query.model)
        store = self._opened()
        moved = {} if store is None else store.progress(self.kind, query.model)
        torn.lines += sum(segment.torn for segment in moved.values())
        for file in files:
            start = moved[file.name].stored if file.name in moved else 0
            yield from self._tail(file, start, query, torn)
        if store is not None:
            known = {segment.id: segment.stored for segment in moved.values()}
            for segment, offset, content in store.documents(self.kind, query):
                if offset < known.get(segment, 0):
                    yield self.decode(content)

    def models(self) -> list[str]:
        """Every model with documents, in segments or in the database."""
        store = self._opened()
        return sorted({*models_in(self.folder), *(store.models(self.kind) if store else ())})

    def close(self) -> None:
        """Close the database's connections; a later read opens new ones."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _tail(self, file: Path, start: int, query: Query, torn: Torn) -> Iterator[Any]:
        offset = start
        try:
            closed = is_closed(file)  # asked first: it can't be written any more while it is read
            for offset, raw in raw_lines(file, start):
                if not raw.endswith(b"\n"):
                    torn.lines += closed
                    break
                yield self._decoded(file, offset, raw)
                offset += len(raw)
        except FileNotFoundError:
            store = self._opened()
            if store is None:
                return
            segment = store.progress(self.kind, query.model).get(file.name)
            if segment is not None:
                torn.lines += segment.torn
                found = store.segment_documents(self.kind, segment.id, offset)
                yield from map(self.decode, found)

    def _decoded(self, file: Path, offset: int, raw: bytes) -> Any:
        try:
            return self.decode(document(raw))
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceError(damage(file, offset, self.kind, error)) from None

    def _opened(self) -> "LogStore | None":
        marker = self.folder / MARKER
        moved_to = marker.read_text("ascii") if marker.exists() else None
        if self._store is None:
            if self.database is None and not (self.home / DATABASE).exists():
                if moved_to is not None:
                    raise EvidenceError(
                        f"{self.folder}: segments were moved into a database that is not given"
                    )
                return None
            from mlops_assets.lifecycle.prediction_log.store import LogStore

            self._store = LogStore(self.database or default_database(self.home))
        if moved_to is not None and self._store.id != moved_to:
            raise EvidenceError(
                f"{self.folder}: segments were moved into another database than {self._store}"
            )
        return self._store


def default_database(folder: Path) -> str:
    """The URL of the SQLite file in a log's folder."""
    return f"sqlite:///{folder.absolute() / DATABASE}"


def damage(file: Path, offset: int, kind: str, error: Exception) -> str:
    """What is wrong with a line of a segment, in words."""
    why = str(error)
    if not why.startswith("damaged"):
        why = f"not a {kind}: {error}"
    return f"{file}, line {line_number(file, offset)}: {why}"
