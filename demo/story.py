"""What happened, told while it happens and once more at the end."""

import time
from dataclasses import dataclass, field
from threading import Lock

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

CHAPTERS = {
    "train": "first training",
    "live": "live traffic",
    "alarm": "alarm",
    "retrain": "retrain",
    "serves": "serves now",
}


@dataclass
class Story:
    """The lives of several models, told from several threads.

    Parameters
    ----------
    console : Console
    """

    console: Console
    _started: float = field(default_factory=time.monotonic)
    _kept: dict[str, dict[str, str]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self.progress = Progress(*columns, console=self.console, transient=True)
        self._tasks = {"": self.progress.add_task("starting", total=None)}

    def doing(self, what: str, model: str = "") -> None:
        """Show what is waited for, in one line a model."""
        with self._lock:
            if model not in self._tasks:
                self._tasks[model] = self.progress.add_task("", total=None)
        self.progress.update(self._tasks[model], description=f"{model:15}  {what}")

    def done(self, model: str = "") -> None:
        """Nothing more is waited for."""
        self.progress.update(self._tasks[model], visible=False)

    def keep(self, model: str, chapter: str, what: str) -> None:
        """Keep something for the table, under its chapter."""
        with self._lock:
            self._kept.setdefault(model, {})[chapter] = what

    def tell(self, model: str, what: str) -> None:
        """Print one event."""
        table = Table.grid(padding=(0, 2))
        table.add_column(width=6, justify="right", style="dim", no_wrap=True)
        table.add_column(width=15, style="bold")
        table.add_column(overflow="fold")
        table.add_row(f"{time.monotonic() - self._started:.0f} s", model, what)
        self.progress.console.print(table)

    def summary(self) -> Table:
        """The chapters of each model."""
        table = Table.grid(padding=(0, 2))
        for style in ("bold", "dim", ""):
            table.add_column(style=style, overflow="fold")
        for model, kept in self._kept.items():
            for chapter, title in CHAPTERS.items():
                first = model if chapter == next(iter(CHAPTERS)) else ""
                table.add_row(first, title, kept.get(chapter, "-"))
            table.add_row()
        return table
