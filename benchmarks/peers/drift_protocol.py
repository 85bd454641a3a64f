"""What a drift peer is asked: one tick with its cost, or its verdicts on many windows.

    python benchmarks/peers/drift_X.py tick REFERENCE LIVE
    python benchmarks/peers/drift_X.py windows REFERENCE LIVE ROWS_A_WINDOW

Both files are Parquet; the answer is JSON on the last line. ``windows`` takes the live rows in
order, and leaves an incomplete last window out.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

# By column: the distance or p-value, and whether the peer calls that drift.
Verdicts = dict[str, tuple[float | None, bool]]
Prepare = Callable[[pd.DataFrame, int], Any]
Judge = Callable[[Any, pd.DataFrame], Verdicts]


def answer(prepare: Prepare, judge: Judge, briefly: Judge | None = None) -> None:
    """Do what the command line asks for.

    Parameters
    ----------
    prepare : callable
        What the peer keeps of the reference, from its rows and the rows of a window.
    judge : callable
        The verdicts on one window.
    briefly : callable or None
        The same verdicts without pictures, for many windows; compared with ``judge`` on the first.
    """
    work, reference, live, *rest = sys.argv[1:]
    if work == "tick":
        found = _tick(prepare, judge, Path(reference), Path(live))
    else:
        pair = judge, briefly or judge
        found = _windows(prepare, pair, Path(reference), Path(live), int(rest[0]))
    print(json.dumps(found, default=float))


def _tick(prepare: Prepare, judge: Judge, reference: Path, live: Path) -> dict[str, Any]:
    state = prepare(pd.read_parquet(reference), parquet.read_metadata(live).num_rows)
    before = cpu()
    verdicts = judge(state, pd.read_parquet(live))
    return {"cpu": cpu() - before, "process": cpu(), "peak": peak(), "columns": verdicts}


def _windows(
    prepare: Prepare, judges: tuple[Judge, Judge], reference: Path, live: Path, size: int
) -> list[Verdicts]:
    state = prepare(pd.read_parquet(reference), size)
    rows = pd.read_parquet(live)
    starts = range(0, len(rows) - size + 1, size)
    windows = [rows.iloc[s : s + size].reset_index(drop=True) for s in starts]
    judge, briefly = judges
    found = [briefly(state, window) for window in windows]
    if briefly is not judge and judge(state, windows[0]) != found[0]:
        raise AssertionError("the verdicts without pictures are others")
    return found


def cpu() -> float:
    """CPU seconds of this process and of the children that ended, user and system."""
    return sum(os.times()[:4])


def peak() -> float:
    """The most memory that this process held, in MB."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("no VmHWM in /proc/self/status")


def categorical(frame: pd.DataFrame) -> list[str]:
    """The columns of text."""
    return [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
