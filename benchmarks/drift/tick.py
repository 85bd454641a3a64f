"""Our side of a tick, in a process of its own: prints what it cost as JSON.

    python benchmarks/drift/tick.py profile REFERENCE PROFILE
    python benchmarks/drift/tick.py tick PROFILE LIVE...
    python benchmarks/drift/tick.py scan LIVE...

``scan`` is the floor: Polars reads every column and sums it (of text, the bytes).
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.special
import scipy.stats
from drift_protocol import cpu, peak

from mlops_assets.lifecycle.drift import calibration, judge, profiling, scan
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.spec import DriftPolicy

# What the modules above import when they are first asked.
LOADED = (np, scipy.special, scipy.stats, calibration, profiling)
WINDOWS = 10


def main() -> None:
    """Do what the command line asks for."""
    work, *arguments = sys.argv[1:]
    before = cpu()
    found = WORKS[work]([Path(name) for name in arguments])
    print(json.dumps({"cpu": cpu() - before, "process": cpu(), "peak": peak(), **found}))


def _profile(files: list[Path]) -> dict[str, Any]:
    """The reference's profile, with the counts of ten windows of its own, as training stores it."""
    rows = pl.scan_parquet(files[0])
    each = rows.select(pl.len()).collect().item() // WINDOWS
    windows = {f"{i:02d}": rows.slice(i * each, each) for i in range(WINDOWS)}
    content = Profile.of(files[0], windows=windows).written()
    files[1].write_bytes(content)
    return {"bytes": len(content)}


def _tick(files: list[Path]) -> dict[str, Any]:
    reference = Profile.read(files[0].read_bytes())
    live = scan.scan(pl.scan_parquet(files[1:]), reference)
    columns = judge.judge(DriftPolicy(), reference, live, seed=1)
    return {"columns": {c.column: (c.value, c.verdict == "drifted") for c in columns}}


def _scan(files: list[Path]) -> dict[str, Any]:
    rows = pl.scan_parquet(files)
    sums = [
        pl.col(name).sum() if dtype.is_numeric() else pl.col(name).str.len_bytes().sum()
        for name, dtype in rows.collect_schema().items()
    ]
    rows.select(sums).collect(engine="streaming")
    return {}


WORKS: dict[str, Callable[[list[Path]], dict[str, Any]]] = {
    "profile": _profile,
    "tick": _tick,
    "scan": _scan,
}

if __name__ == "__main__":
    main()
