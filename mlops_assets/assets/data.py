"""The step of stages 1 and 2: cheap enough to share one process, whatever the executor."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display, raw_data, validated_features
from mlops_assets.assets.keys import (
    RAW_DATA,
    VALIDATED_FEATURES,
    key,
    partitions,
    stored_as,
    windows_back,
    windows_of,
)
from mlops_assets.assets.types import found_right, frame_type
from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.fingerprint import digest_of, frame_digest
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager

if TYPE_CHECKING:
    import pandas as pd

MADE_FROM = "mlops_made_from"


def data_assets(spec: ModelSpec, base: Path, code: dict[str, str]) -> dg.AssetsDefinition:
    """``raw_data`` and ``validated_features`` of a model.

    Nothing is written before its contract holds, so that a bad window leaves what was there.

    Parameters
    ----------
    base : Path
        The folder that relative paths in the declaration start from.
    code : dict of str to str
        Code version by asset.
    """

    @dg.multi_asset(
        name=f"{spec.name}__data",
        outs={
            RAW_DATA: dg.AssetOut(
                key=key(spec, RAW_DATA),
                dagster_type=frame_type(spec, RAW_DATA, spec.contract),
                io_manager_key="frames",
                is_required=False,
                description=f"{spec.description} Raw data as it arrived, one window.".strip(),
                code_version=code[RAW_DATA],
                kinds={spec.source.type, "parquet"},
                owners=spec.owners,
            ),
            VALIDATED_FEATURES: dg.AssetOut(
                key=key(spec, VALIDATED_FEATURES),
                dagster_type=frame_type(spec, VALIDATED_FEATURES, spec.feature_contract),
                io_manager_key="frames",
                is_required=False,
                description="Features under their contract, built as of their own time.",
                code_version=code[VALIDATED_FEATURES],
                kinds={"pandas", "parquet"},
                owners=spec.owners,
            ),
        },
        internal_asset_deps={RAW_DATA: set(), VALIDATED_FEATURES: {key(spec, RAW_DATA)}},
        deps=_own_history(spec),
        check_specs=[*raw_data.checks(spec), *validated_features.checks(spec)],
        partitions_def=partitions(spec),
        can_subset=True,
        group_name=spec.name,
    )
    def data(context: dg.AssetExecutionContext, frames: dg.ResourceParam[FrameIOManager]):
        windows = windows_of(context, spec)
        raw: dict[str, pd.DataFrame] = {}
        if key(spec, RAW_DATA) in context.selected_asset_keys:
            try:
                raw = raw_data.read(spec, base, windows)
            except SourceError as error:
                yield raw_data.unreadable_result(key(spec, RAW_DATA), error)
                return
            before = _before(spec, windows[0], frames, RAW_DATA)
            rows = None if before is None else frames.count(*before)
            sound = yield from _raw_events(context, spec, raw, rows)
            if not sound:
                return
        if key(spec, VALIDATED_FEATURES) in context.selected_asset_keys:
            made_by = code[VALIDATED_FEATURES]
            yield from _feature_events(context, spec, windows, raw, frames, made_by)

    return data


def _own_history(spec: ModelSpec) -> list[dg.AssetDep]:
    """Features read raw windows before their own; without windows there are none."""
    history = spec.feature_step.history if spec.feature_step else 0
    mapping = windows_back(spec, history + 1)
    return [dg.AssetDep(key(spec, RAW_DATA), partition_mapping=mapping)] if mapping else []


def _raw_events(
    context: dg.AssetExecutionContext,
    spec: ModelSpec,
    raw: "dict[str, pd.DataFrame]",
    before: int | None,
) -> Generator[Any, None, bool]:
    """Materialize the windows if all keep their contract; returns whether they do."""
    asset = key(spec, RAW_DATA)
    broken = raw_data.violations(spec, raw, RAW_DATA, spec.contract)
    if not broken:
        found_right(spec, RAW_DATA, raw)
        yield _materialized(context, spec, RAW_DATA, raw)
        yield raw_data.volume_result(asset, raw, before)
        yield raw_data.duplicates_result(asset, raw)
        if spec.cadence != "none":
            yield raw_data.freshness_result(spec, asset, raw)
    yield raw_data.contract_result(asset, broken, raw)
    return not broken


def _feature_events(
    context: dg.AssetExecutionContext,
    spec: ModelSpec,
    windows: list[Window],
    raw: "dict[str, pd.DataFrame]",
    stored: FrameIOManager,
    code_version: str,
) -> Iterator:
    features: dict[str, pd.DataFrame] = {}
    leaked = 0
    for window in windows:
        features[window.key], rows = _window_features(spec, window, raw, stored, code_version)
        leaked += rows
    asset = key(spec, VALIDATED_FEATURES)
    broken = raw_data.violations(
        spec, features, VALIDATED_FEATURES, spec.feature_contract, spec.columns.key
    )
    if not broken and not leaked:
        found_right(spec, VALIDATED_FEATURES, features)
        yield _materialized(context, spec, VALIDATED_FEATURES, features)
        before = _before(spec, windows[0], stored, VALIDATED_FEATURES)
        yield validated_features.null_rates_result(
            spec, features, None if before is None else stored.null_shares(*before)
        )
    yield raw_data.contract_result(asset, broken, features)
    yield validated_features.leak_result(spec, leaked)


def _window_features(
    spec: ModelSpec,
    window: Window,
    raw: "dict[str, pd.DataFrame]",
    stored: FrameIOManager,
    code_version: str,
) -> "tuple[pd.DataFrame, int]":
    """One window's features, from storage when they were made from the same, and leaking rows."""

    def raw_window(name: str) -> "pd.DataFrame":
        if name not in raw:
            stored_name = None if spec.cadence == "none" else name
            raw[name] = stored.load(key(spec, RAW_DATA), stored_name)
        return raw[name]

    own = raw_window(window.key)
    history = validated_features.history_of(spec, window, raw_window)
    made_from = digest_of(code_version, frame_digest(own), frame_digest(history))
    if stored.exists(key(spec, VALIDATED_FEATURES), stored_as(window)):
        before = stored.load(key(spec, VALIDATED_FEATURES), stored_as(window))
        if before.attrs.get(MADE_FROM) == made_from:
            return before, 0
    features = validated_features.build(spec, window, own, history).copy()
    features.attrs[MADE_FROM] = made_from
    return features, validated_features.leaks(spec, window, own, history, features)


def _materialized(
    context: dg.AssetExecutionContext,
    spec: ModelSpec,
    asset: str,
    frames: "dict[str, pd.DataFrame]",
) -> dg.MaterializeResult:
    """The event of each window, with what is known of that one; the newest is drawn as well."""
    name, newest = key(spec, asset), max(frames)
    facts = {window: _facts(spec, frame) for window, frame in frames.items()}
    drawn = "distributions" if spec.columns.time is None else "rows by day"
    facts[newest][drawn] = display.rows_plot(frames[newest], spec.columns.time)
    windowed = spec.cadence != "none"
    for window, known in facts.items():
        partition = window if windowed else None
        context.add_asset_metadata(known, asset_key=name, partition_key=partition)
    digests = {window: frame_digest(frame) for window, frame in frames.items()}
    version = digest_of(digests) if len(digests) > 1 else next(iter(digests.values()))
    return dg.MaterializeResult(
        asset_key=name,
        value=frames if len(frames) > 1 or windowed else frames[newest],
        metadata={"windows": ", ".join(sorted(frames))},
        data_version=dg.DataVersion(version),
    )


def _facts(spec: ModelSpec, frame: "pd.DataFrame") -> dict[str, Any]:
    return {
        "dagster/row_count": len(frame),
        "dagster/column_schema": display.schema(frame, spec.columns),
        "preview": display.preview(frame),
        "null rate": display.number(frame.isna().mean().mean()),
    }


def _before(
    spec: ModelSpec, first: Window, stored: FrameIOManager, asset: str
) -> tuple[dg.AssetKey, str] | None:
    """Where an asset's window before the first of a step is stored, if it is."""
    earlier = spec.grid.back_from(first.key, 2)[:-1]
    if not earlier or not stored.exists(key(spec, asset), earlier[0].key):
        return None
    return key(spec, asset), earlier[0].key
