"""Stage 2: features under their contract, built from raw windows as of their own time only."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.keys import VALIDATED_FEATURES, key
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.import_paths import load_object
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    import pandas as pd

CONTRACT = "contract"
NO_FUTURE_LEAK = "no_future_leak"
NULL_RATES = "null_rates"
NULL_JUMP = 0.05
STANDARD_ERRORS = 3


def checks(spec: ModelSpec) -> list[dg.AssetCheckSpec]:
    """What is checked of features; the first two block."""
    asset = key(spec, VALIDATED_FEATURES)
    return [
        dg.AssetCheckSpec(
            CONTRACT,
            asset=asset,
            blocking=True,
            description="Every row keeps the feature contract; the failing rows are shown.",
        ),
        dg.AssetCheckSpec(
            NO_FUTURE_LEAK,
            asset=asset,
            blocking=True,
            description="Features of the first half of the newest window stay what they are "
            "when the second half is taken away.",
        ),
        dg.AssetCheckSpec(
            NULL_RATES,
            asset=asset,
            description=f"No column's share of nulls moved by more than {NULL_JUMP:.0%} of all "
            "rows, and by more than chance, from one window to the next.",
        ),
    ]


def build(
    spec: ModelSpec, window: Window, raw: "pd.DataFrame", history: "pd.DataFrame"
) -> "pd.DataFrame":
    """Build one window's features.

    Raises
    ------
    EvidenceError
        When the function returns no DataFrame.
    """
    import pandas as pd

    step = spec.feature_step
    if step is None:
        return raw
    function = load_object(step.function)
    features = function(raw, window=window, history=history, **step.params)
    if not isinstance(features, pd.DataFrame):
        raise EvidenceError(f"{step.function} returned {type(features).__name__}, no DataFrame")
    return features


def history_of(
    spec: ModelSpec, window: Window, raw_window: Callable[[str], "pd.DataFrame"]
) -> "pd.DataFrame":
    """The raw rows of the windows before, as many as ``features.history`` asks for."""
    import pandas as pd

    step = spec.feature_step
    if step is None or step.history == 0:
        return pd.DataFrame()
    earlier = spec.grid.back_from(window.key, step.history + 1)[:-1]
    frames = [raw_window(w.key) for w in earlier]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def leaks(
    spec: ModelSpec,
    window: Window,
    raw: "pd.DataFrame",
    history: "pd.DataFrame",
    features: "pd.DataFrame",
) -> int:
    """How many early rows change when the later half of the raw rows is taken away."""
    import numpy as np

    from mlops_assets.lifecycle.fingerprint import row_hashes

    time = spec.columns.time
    if spec.feature_step is None or time is None or time not in features or raw.empty:
        return 0
    cut = raw[time].sort_values().iloc[len(raw) // 2]
    early = build(spec, window, raw[raw[time] < cut].reset_index(drop=True), history)
    kept = features[features[time] < cut]
    return int((~np.isin(row_hashes(early), row_hashes(kept))).sum())


def leak_result(spec: ModelSpec, leaked: int) -> dg.AssetCheckResult:
    """The leak check's result."""
    return dg.AssetCheckResult(
        asset_key=key(spec, VALIDATED_FEATURES),
        check_name=NO_FUTURE_LEAK,
        passed=leaked == 0,
        description=f"{leaked} rows know what came after them" if leaked else "no row does",
        metadata={"leaking rows": leaked},
    )


def null_rates_result(
    spec: ModelSpec, frames: "dict[str, pd.DataFrame]", before: dict[str, float] | None
) -> dg.AssetCheckResult:
    """Compare each window's nulls with those of the window before; a warning, never a block."""
    jumps: list[str] = []
    for name in sorted(frames):
        now = frames[name].isna().mean().to_dict()
        jumps += [f"{name}: {jump}" for jump in _null_jumps(before or now, now, len(frames[name]))]
        before = now
    return dg.AssetCheckResult(
        asset_key=key(spec, VALIDATED_FEATURES),
        check_name=NULL_RATES,
        passed=not jumps,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(jumps) or "no column's share of nulls moved",
        metadata={"columns that moved": len(jumps)},
    )


def _null_jumps(before: dict[str, float], now: dict[str, float], rows: int) -> Iterator[str]:
    for column in sorted(before.keys() & now.keys()):
        old, new = before[column], now[column]
        error = math.sqrt(max(old * (1 - old), new * (1 - new)) / rows)
        if abs(new - old) > max(NULL_JUMP, STANDARD_ERRORS * error):
            yield f"{column} {old:.1%} to {new:.1%} null"
