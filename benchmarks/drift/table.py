"""How well each watcher did on each stream, as lines and as the table of docs/drift_streams.md."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import Line

from drift import watch
from drift.peers import EVIDENTLY, NANNYML, Peers
from drift.streams import Played, streams
from drift.watch import Alarms

FALSE = "streams: false alarms for each decayed window caught"
GOAL_AGAINST = (watch.ANY, watch.SHARE, watch.UNIVARIATE, watch.ESTIMATED, watch.EITHER)


@dataclass(frozen=True)
class Score:
    """One watcher on one stream, or on several together.

    Parameters
    ----------
    decayed, caught : int
        Decayed windows, and those with an alarm about them.
    healthy, false : int
        Healthy windows, and those with an alarm about them.
    delays : tuple of int
        By stretch of decayed windows that was caught: windows from its first one to the end of
        the window after which the first alarm about it came.
    stretches : int
    """

    decayed: int
    caught: int
    healthy: int
    false: int
    delays: tuple[int, ...]
    stretches: int

    @classmethod
    def of(cls, truth: np.ndarray, alarms: Alarms) -> "Score":
        """Of a stream."""
        delays, count = [], 0
        for stretch in _stretches(truth):
            count += 1
            came = [i - stretch[0] + alarms.after[i] for i in stretch if alarms.raised[i]]
            delays += [int(min(came))] if came else []
        decayed, healthy = truth == 1, truth == 0
        return cls(
            int(decayed.sum()),
            int(alarms.raised[decayed].sum()),
            int(healthy.sum()),
            int(alarms.raised[healthy].sum()),
            tuple(delays),
            count,
        )

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.decayed + other.decayed,
            self.caught + other.caught,
            self.healthy + other.healthy,
            self.false + other.false,
            self.delays + other.delays,
            self.stretches + other.stretches,
        )

    @property
    def false_for_each(self) -> float:
        """False alarms for each decayed window that was caught; NaN where none was."""
        return self.false / self.caught if self.caught else math.nan


def _stretches(truth: np.ndarray) -> Iterator[list[int]]:
    """Decayed windows without a healthy one between them."""
    stretch: list[int] = []
    for i, state in enumerate(truth):
        if state == 1:
            stretch.append(i)
        elif state == 0 and stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def lines_of(peers: Peers, folder: Path, names: tuple[str, ...], table: Path | None) -> list[Line]:
    """Play the streams, and compare; the table is written where a file is given."""
    found = peers.find("nannyml")
    employment = found / "datasets" / "data" if found else None
    scores: dict[str, dict[str, Score]] = {}
    words = []
    for played in streams(folder, employment, names):
        if isinstance(played, str):
            print(played, flush=True)
            continue
        scores[played.stream.name] = scored(played, peers)
        words.append(_words(played))
    if not scores:
        return []
    if table:
        table.write_text("\n\n".join([*words, markdown(scores)]) + "\n", "utf-8")
    return lines(scores)


def scored(played: Played, peers: Peers) -> dict[str, Score]:
    """By watcher."""
    alarms = watch.ours(played)
    if peers.has(EVIDENTLY) and peers.has(NANNYML):
        with tempfile.TemporaryDirectory(prefix="bench-drift-") as place:
            alarms |= watch.theirs(played, peers, Path(place))
    return {name: Score.of(played.truth, each) for name, each in alarms.items()}


def total(scores: dict[str, dict[str, Score]], watcher: str) -> Score:
    """Of all streams together."""
    first, *rest = [by_watcher[watcher] for by_watcher in scores.values()]
    return sum(rest, first)


def lines(scores: dict[str, dict[str, Score]]) -> list[Line]:
    """False alarms for each detection over all streams, and the recall beside it."""
    ours = total(scores, watch.OURS)
    found = []
    watchers = next(iter(scores.values()))
    for watcher in GOAL_AGAINST:
        if watcher not in watchers:
            found.append(Line(FALSE, ours.false_for_each, watcher, math.nan, math.nan, "fewer",
                              False))  # fmt: skip
    for watcher in watchers:
        if watcher == watch.OURS:
            continue
        theirs = total(scores, watcher)
        goal = watcher in GOAL_AGAINST
        mine, other = ours.false_for_each, theirs.false_for_each
        # Who catches nothing raises no false alarm for each that is caught.
        holds = not goal or math.isnan(other) or mine < other
        words = "fewer" if goal else "none"
        ratio = other / mine if mine else math.nan
        found.append(Line(FALSE, mine, watcher,
                          other, ratio, words, holds))  # fmt: skip
        recall = theirs.caught / theirs.decayed
        own = ours.caught / ours.decayed
        found.append(Line("streams: share of the decayed windows caught", own, watcher, recall,
                          own / recall if recall else math.nan, "none", True))  # fmt: skip
    return found


def _words(played: Played) -> str:
    stream = played.stream
    states = {1: "D", 0: ".", -1: "?"}
    row = "".join(states[int(t)] for t in played.truth)
    late = "1 window" if stream.delay == 1 else f"{stream.delay} windows"
    accuracy = played.correct[: played.reference_rows].mean()
    return (
        f"**{stream.name}**: {stream.what}. {len(played.windows)} windows of {stream.window:,} rows"
        f" after {stream.train} to train on and {stream.reference} of reference (accuracy "
        f"{accuracy:.3f}); labels come {late} late.\n\n    {row}"
    )


def markdown(scores: dict[str, dict[str, Score]]) -> str:
    """One row a watcher, one column a stream."""
    streams_ = list(scores)
    head = ["watcher", *streams_, "all: caught", "false", "false for each caught", "delay"]
    rows = [head, ["---"] * len(head)]
    for watcher in scores[streams_[0]]:
        cells = [_cell(scores[name][watcher]) for name in streams_]
        every = total(scores, watcher)
        rows.append(
            [
                watcher,
                *cells,
                f"{every.caught} of {every.decayed}",
                f"{every.false} of {every.healthy}",
                "-" if math.isnan(every.false_for_each) else f"{every.false_for_each:.2f}",
                _delay(every),
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(score: Score) -> str:
    caught = f"{score.caught / score.decayed:.2f}" if score.decayed else "-"
    false = f"{score.false / score.healthy:.2f}" if score.healthy else "-"
    return f"{caught} / {false}"


def _delay(score: Score) -> str:
    if not score.delays:
        return f"0 of {score.stretches}"
    return f"{np.median(score.delays):g} ({len(score.delays)} of {score.stretches})"
