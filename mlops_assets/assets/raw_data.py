"""Stage 1: raw data as it arrived, one window."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.keys import RAW_DATA, key
from mlops_assets.lifecycle import contract
from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import UNPARTITIONED, Window

if TYPE_CHECKING:
    import pandas as pd

CONTRACT = "contract"
VOLUME = "volume"
VOLUME_RATIO = 3.0
DUPLICATES = "duplicates"
FRESHNESS = "freshness"
NEWEST_PART = 0.1


def checks(spec: ModelSpec) -> list[dg.AssetCheckSpec]:
    """What is checked of raw data; the contract blocks."""
    asset = key(spec, RAW_DATA)
    specs = [
        dg.AssetCheckSpec(
            CONTRACT,
            asset=asset,
            blocking=True,
            description="Every row keeps the declared contract; the failing rows are shown.",
        ),
        dg.AssetCheckSpec(
            VOLUME,
            asset=asset,
            description=f"No window has {VOLUME_RATIO:g} times more, or fewer, rows than another.",
        ),
        dg.AssetCheckSpec(
            DUPLICATES, asset=asset, description="No row is there twice, in all its columns."
        ),
    ]
    if spec.cadence != "none":
        specs.append(
            dg.AssetCheckSpec(
                FRESHNESS,
                asset=asset,
                description=f"The last {NEWEST_PART:.0%} of each window has rows: the window was "
                "delivered to its end.",
            )
        )
    return specs


def read(spec: ModelSpec, base: Path, windows: list[Window]) -> "dict[str, pd.DataFrame]":
    """Read the windows from their source, numbers of a text file in the contract's types.

    Raises
    ------
    SourceError
        Naming the file or query and the cause.
    """
    frames = {w.key: spec.source.read(w, time=spec.columns.time, base=base) for w in windows}
    if spec.source.typed:
        return frames
    return {w: contract.as_declared(frame, spec.contract) for w, frame in frames.items()}


def violations(
    spec: ModelSpec,
    frames: "dict[str, pd.DataFrame]",
    asset: str,
    declared: contract.Contract,
    row_key: list[str] | None = None,
) -> dict[str, contract.ContractReport]:
    """The reports of the windows that break a contract, or hold a ``row_key`` twice."""
    reports = {
        window: contract.check(
            frame,
            declared,
            required=spec.columns.required,
            name=f"{spec.name}/{asset} {window}",
            time=spec.columns.time,
            key=row_key,
        )
        for window, frame in frames.items()
    }
    return {window: report for window, report in reports.items() if not report.passed}


def contract_result(
    asset: dg.AssetKey,
    broken: dict[str, contract.ContractReport],
    frames: "dict[str, pd.DataFrame]",
) -> dg.AssetCheckResult:
    """The contract check's result, with the failing rows for people."""
    metadata: dict = {"rows": sum(map(len, frames.values())), "broken windows": len(broken)}
    for window, report in broken.items():
        metadata[f"failures in {window}"] = dg.MetadataValue.md(report.to_markdown())
        metadata[f"failing values in {window}"] = sum(f.count for f in report.failures)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=CONTRACT,
        passed=not broken,
        description="; ".join(r.summary() for r in broken.values())
        or f"every row{_of_windows(frames)} keeps it",
        metadata=metadata,
    )


def _of_windows(frames: "dict[str, pd.DataFrame]") -> str:
    """Which windows a result is of: the check itself has none, and shows the last one looked at."""
    first, last = min(frames), max(frames)
    if last == UNPARTITIONED:
        return ""
    return f" of {first}" if first == last else f" of {first} to {last}"


def unreadable_result(asset: dg.AssetKey, error: SourceError) -> dg.AssetCheckResult:
    """The contract check's result where the data could not even be read."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=CONTRACT,
        passed=False,
        description=str(error),
        metadata={"unreadable": str(error)},
    )


def volume_result(
    asset: dg.AssetKey, frames: "dict[str, pd.DataFrame]", before: int | None
) -> dg.AssetCheckResult:
    """Compare each window's rows with the window before; a warning, never a block."""
    counts = [n for n in [before, *(len(f) for f in frames.values())] if n]
    jumps = [
        f"{later} rows after {earlier}"
        for earlier, later in itertools.pairwise(counts)
        if max(earlier, later) > VOLUME_RATIO * min(earlier, later)
    ]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=VOLUME,
        passed=not jumps,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(jumps) or "no jump in the number of rows",
        metadata={"rows": sum(len(f) for f in frames.values())},
    )


def duplicates_result(asset: dg.AssetKey, frames: "dict[str, pd.DataFrame]") -> dg.AssetCheckResult:
    """Count the rows that repeat an earlier one of their window; a warning, never a block."""
    from mlops_assets.lifecycle.fingerprint import row_hashes

    repeats = {w: len(f) - len(set(row_hashes(f).tolist())) for w, f in frames.items()}
    found = [f"{count} of {len(frames[w])} rows in {w}" for w, count in repeats.items() if count]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=DUPLICATES,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"rows that were there already: {'; '.join(found)}" if found else "none",
        metadata={"repeated rows": sum(repeats.values())},
    )


def freshness_result(
    spec: ModelSpec, asset: dg.AssetKey, frames: "dict[str, pd.DataFrame]"
) -> dg.AssetCheckResult:
    """Whether each window's rows reach to its end; a warning, never a block."""
    newest = {w: frame[spec.columns.time].max() for w, frame in frames.items()}
    late = []
    for name, moment in newest.items():
        start, end = spec.grid.window(name).bounds
        if moment < end - NEWEST_PART * (end - start):
            late.append(f"{name} ends with a row of {moment:%Y-%m-%d %H:%M}, not of {end:%Y-%m-%d}")
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=FRESHNESS,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(late) or "every window has rows to its end",
        metadata={"newest row": max(newest.values()).isoformat()},
    )
