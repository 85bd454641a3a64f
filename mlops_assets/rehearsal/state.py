"""How far a replay has come: written after each step, so that it can be cut off anywhere."""

import os
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field

from mlops_assets.lifecycle.errors import EvidenceError

STATE_FILE = "replay.json"


class Asked(BaseModel):
    """A run that a schedule or a sensor asked for."""

    job: str
    run_key: str
    window: str
    tags: dict[str, str]


class Tick(BaseModel):
    """What a schedule or a sensor said at a moment.

    ``left_out`` are windows that it asked for and that are not replayed.
    """

    at: datetime
    by: str
    asked: list[Asked] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
    words: str = ""


class Served(BaseModel):
    """Since when a version has served."""

    since: datetime
    version: int


class State(BaseModel):
    """How far a replay has come.

    ``until`` is the moment up to which everything is done; ``evaluated`` names the schedules that
    were asked at the moment under way; ``outbox`` has runs that were asked for and are not known
    to be finished.
    """

    until: datetime
    evaluated: list[str] = Field(default_factory=list)
    cursors: dict[str, str | None] = Field(default_factory=dict)
    outbox: list[Asked] = Field(default_factory=list)
    ticks: list[Tick] = Field(default_factory=list)
    served: list[Served] = Field(default_factory=list)
    done: bool = False

    def save(self, home: Path) -> None:
        """Write the state so that a crash leaves the old one or the new one."""
        spare = home / f".{STATE_FILE}"
        with spare.open("w", encoding="utf-8") as file:
            file.write(self.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        spare.replace(home / STATE_FILE)

    @classmethod
    def load(cls, home: Path) -> "State | None":
        """The state that was written last; None where there is none.

        Raises
        ------
        EvidenceError
            When the file is no state.
        """
        file = home / STATE_FILE
        if not file.exists():
            return None
        try:
            return cls.model_validate_json(file.read_text("utf-8"))
        except ValueError as error:
            raise EvidenceError(f"{file} is no state of a replay: {error}") from None
