"""What each watcher says of every window of a stream, and how many windows later it says so."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from drift.peers import EVIDENTLY, NANNYML, PEERS, Peers
from drift.streams import Played
from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.decay.performance import performance
from mlops_assets.lifecycle.drift.judge import drift
from mlops_assets.lifecycle.tasks import Answered

OURS, WARNING = "ours, page", "ours, warning"
PREDICTION, LABELS = "ours, prediction alone", "ours, labels alone"
ANY, SHARE = "Evidently, any column", "Evidently, half of the columns"
EVIDENTLY_PREDICTION = "Evidently, prediction alone"
UNIVARIATE, ESTIMATED = "NannyML, any column", "NannyML, CBPE"
EITHER, REALISED = "NannyML, either", "NannyML, labels alone"
START = datetime(2020, 1, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Alarms:
    """Of one watcher on one stream.

    Parameters
    ----------
    raised : ndarray of bool, shape (n_windows,)
        By the window that the alarm is about.
    after : ndarray of int, shape (n_windows,)
        How many windows later it comes: 0 with the window's end.
    """

    raised: np.ndarray
    after: np.ndarray


def at_once(raised) -> Alarms:
    """Alarms that come with the window's end."""
    raised = np.asarray(raised, dtype=bool)
    return Alarms(raised, np.zeros(len(raised), dtype=int))


def ours(played: Played) -> dict[str, Alarms]:
    """The platform's reports: decay and prediction drift page, the rest warns."""
    spec, delay = played.spec, played.stream.delay
    reports = [
        drift(
            spec,
            played.profile,
            played.watched[rows].reset_index(drop=True),
            window=str(i),
            version=1,
        )
        for i, rows in enumerate(played.windows)
    ]
    decayed = np.array([_decayed(played, rows) for rows in played.windows])
    moved = np.array([report.prediction_drifted for report in reports])
    return {
        OURS: Alarms(decayed | moved, np.where(moved, 0, delay)),
        LABELS: Alarms(decayed, np.full(len(decayed), delay)),
        PREDICTION: at_once(moved),
        WARNING: at_once([report.drifted for report in reports]),
    }


def _decayed(played: Played, rows: slice) -> bool:
    spec, before = played.spec, slice(0, played.reference_rows)
    promised = Answered(played.labels[before], played.answers[before], np.ones(before.stop))
    report = performance(
        spec,
        played.labelled(rows),
        HoldOut(rows=promised),
        window=str(rows.start),
        version=1,
        now=START + spec.columns.label_delay + timedelta(days=7),
    )
    return report.verdict == "decayed"


def theirs(played: Played, peers: Peers, folder: Path) -> dict[str, Alarms]:
    """The peers' own defaults: Evidently's preset, NannyML's univariate drift and CBPE."""
    size, delay = played.stream.window, played.stream.delay
    watched = _written(played, played.watched, folder / "watched")
    preset = peers.ask(PEERS[EVIDENTLY][0], "windows", *watched, size)
    univariate = peers.ask(PEERS[NANNYML][0], "windows", *watched, size)
    known = peers.ask(
        "drift_nannyml_answers",
        "windows",
        *_written(played, _answers(played), folder / "known"),
        size,
    )
    estimated, realised = (
        np.array([w[what][1] for w in known]) for what in ("estimated", "realised")
    )
    any_column = _any(univariate)
    return {
        ANY: at_once(_any(preset)),
        SHARE: at_once([np.mean([f for _, f in w.values()]) >= 0.5 for w in preset]),
        EVIDENTLY_PREDICTION: at_once([w["prediction"][1] for w in preset]),
        UNIVARIATE: at_once(any_column),
        ESTIMATED: at_once(estimated),
        EITHER: at_once(any_column | estimated),
        REALISED: Alarms(realised, np.full(len(realised), delay)),
    }


def _any(windows: list[dict]) -> np.ndarray:
    return np.array([any(flag for _, flag in w.values()) for w in windows])


def _answers(played: Played) -> pd.DataFrame:
    frame = pd.DataFrame(
        played.probabilities, columns=[f"p{k}" for k in range(played.probabilities.shape[1])]
    )
    return frame.assign(truth=played.labels, answer=played.probabilities.argmax(axis=1))


def _written(played: Played, rows: pd.DataFrame, place: Path) -> tuple[Path, Path]:
    files = place.with_suffix(".reference.parquet"), place.with_suffix(".live.parquet")
    rows[: played.reference_rows].to_parquet(files[0], index=False)
    rows[played.reference_rows :].reset_index(drop=True).to_parquet(files[1], index=False)
    return files
