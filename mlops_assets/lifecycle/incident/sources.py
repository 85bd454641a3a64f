"""Where an incident is gathered from, and what is said of that which can't be read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from mlops_assets.lifecycle.errors import EvidenceError, LifecycleError

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.alerts.outbox import Delivery
    from mlops_assets.lifecycle.incident.report import FailedRun
    from mlops_assets.lifecycle.prediction_log import PredictionLog
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.reports import Report
    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.lifecycle.spec import ModelSpec

MOST_WORDS = 400


@dataclass(frozen=True)
class Sources:
    """Everything that is known of a model, none of which is written to.

    Parameters
    ----------
    spec : ModelSpec
    registry : Registry or Away
    journal : Journal
    log : PredictionLog
    report : callable
        The stored report of an asset and a window's key; None where there is none, EvidenceError
        where what is stored is not one.
    frame : callable
        The same for frames.
    windows : callable
        Keys of an asset's stored windows, oldest first.
    now : datetime
        Aware.
    dagster_url : str
    failed_runs : callable
        The newest runs of the model that failed, newest first.
    alerts : callable
        What was raised about the model since a moment, one entry a channel, oldest first.
    """

    spec: "ModelSpec"
    registry: "Registry | Any"
    journal: "Journal"
    log: "PredictionLog"
    report: "Callable[[str, str], Report | None]"
    frame: "Callable[[str, str], pd.DataFrame | None]"
    windows: Callable[[str], list[str]]
    now: datetime
    dagster_url: str
    failed_runs: "Callable[[], list[FailedRun]]"
    alerts: "Callable[[datetime], list[Delivery]]"


class Away:
    """A store that did not answer: it is not asked again, which could take minutes each time."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, _asked: str) -> NoReturn:
        raise EvidenceError(f"{self._name} does not answer")


@dataclass
class Missing:
    """What is not known, by section of the page."""

    words: dict[str, list[str]] = field(default_factory=dict)

    def tell(self, section: str, words: str) -> None:
        """Say what is missing; the same words are said once."""
        told = self.words.setdefault(section, [])
        if words not in told:
            told.append(words)

    @contextmanager
    def reading(self, section: str, what: str) -> Iterator[None]:
        """Say so when something can't be read, and go on behind the block."""
        try:
            yield
        except _unreadable() as error:
            self.tell(section, f"{what} can't be read: {_words(error)}")


def _unreadable() -> tuple[type[Exception], ...]:
    """What a store says that is away, or whose content is gone, damaged or forged."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return LifecycleError, OSError, MlflowException, SQLAlchemyError


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    shown = text if isinstance(error, LifecycleError) else f"{type(error).__name__}: {text}"
    return shown if len(shown) <= MOST_WORDS else f"{shown[:MOST_WORDS]}…"
