"""Stage 1: raw data as it arrived, one window."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.keys import RAW_DATA, key
from mlops_assets.lifecycle import contract
from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    import pandas as pd

CONTRACT = "contract"
VOLUME = "volume"
VOLUME_RATIO = 3.0


def checks(spec: ModelSpec) -> list[dg.AssetCheckSpec]:
    """What is checked of raw data; the contract blocks."""
    asset = key(spec, RAW_DATA)
    return [
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
    ]


def read(spec: ModelSpec, base: Path, windows: list[Window]) -> "dict[str, pd.DataFrame]":
    """Read the windows from their source.

    Raises
    ------
    SourceError
        Naming the file or query and the cause.
    """
    return {w.key: spec.source.read(w, time=spec.columns.time, base=base) for w in windows}


def violations(
    spec: ModelSpec, frames: "dict[str, pd.DataFrame]", asset: str, declared: contract.Contract
) -> dict[str, contract.ContractReport]:
    """The reports of the windows that break a contract."""
    reports = {
        window: contract.check(
            frame,
            declared,
            required=spec.columns.required,
            name=f"{spec.name}/{asset} {window}",
            time=spec.columns.time,
        )
        for window, frame in frames.items()
    }
    return {window: report for window, report in reports.items() if not report.passed}


def contract_result(
    asset: dg.AssetKey, broken: dict[str, contract.ContractReport], rows: int
) -> dg.AssetCheckResult:
    """The contract check's result, with the failing rows for people."""
    metadata: dict = {"rows": rows, "broken windows": len(broken)}
    for window, report in broken.items():
        metadata[f"failures in {window}"] = dg.MetadataValue.md(report.to_markdown())
        metadata[f"failing values in {window}"] = sum(f.count for f in report.failures)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=CONTRACT,
        passed=not broken,
        description="; ".join(r.summary() for r in broken.values()) or "every row keeps it",
        metadata=metadata,
    )


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
