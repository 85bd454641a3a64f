"""``mlops-assets backfill``: the windows of data that a training needs, in one go."""

import os
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.commands.declared import declared
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import ModelSpec


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "backfill", help="materialize the raw data and features that a training reads"
    )
    parser.add_argument("model")
    parser.add_argument("--window", help="window to train for; default: the newest complete one")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Materialize what is missing; raw windows first, then features."""
    from mlops_assets.assets.keys import key
    from mlops_assets.automation.jobs import LIFECYCLE
    from mlops_assets.resources import FrameIOManager

    spec, folder = declared(options.defs, options.model)
    stored = FrameIOManager(base_url=Settings.from_environment().storage_url)
    raw, features = wanted(spec, options.window)
    for asset, windows in (("raw_data", raw), ("validated_features", features)):
        missing = [w for w in windows if not stored.exists(key(spec, asset), w)]
        if not missing:
            continue
        print(f"{spec.name}/{asset}: {missing[0]} to {missing[-1]}")
        if not _materialize(spec, folder, asset, missing):
            return 1
    job = f"{spec.name}_{LIFECYCLE}"
    print(f"train on them: dg launch --job {job} --partition {features[-1]}")
    return 0


def wanted(spec: ModelSpec, window: str | None) -> tuple[list[str], list[str]]:
    """Keys of the raw windows and of the feature windows that a training for ``window`` reads.

    Raises
    ------
    DeclarationError
        When the model has no windows, or none is complete.
    """
    if spec.cadence == "none":
        raise DeclarationError(f"{spec.name} has no windows: run its lifecycle job")
    if window is None:
        newest = spec.grid.newest_complete(datetime.now(UTC), spec.columns.label_delay)
        if newest is None:
            raise DeclarationError(f"{spec.name}: no window is complete yet")
        window = newest.key
    try:
        spec.grid.window(window)
    except ValueError as error:
        raise DeclarationError(f"{spec.name}: {error}") from None
    features = spec.grid.back_from(window, spec.training.windows + spec.hold_out_windows)
    history = spec.feature_step.history if spec.feature_step else 0
    raw = spec.grid.back_from(window, len(features) + history)
    return [w.key for w in raw], [w.key for w in features]


def _materialize(spec: ModelSpec, folder: Path, asset: str, windows: list[str]) -> bool:
    import dagster as dg

    from mlops_assets.assets.keys import key
    from mlops_assets.components.lifecycle import lifecycle_definitions
    from mlops_assets.definitions import resources

    local = Settings.from_environment().home / "dagster"
    Path(os.environ.setdefault("DAGSTER_HOME", str(local))).mkdir(parents=True, exist_ok=True)
    definitions = dg.Definitions.merge(
        lifecycle_definitions(spec, folder),
        dg.Definitions(resources=resources(), executor=dg.in_process_executor),
    )
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def(f"{spec.name}_data").execute_in_process(
            asset_selection=[key(spec, asset)],
            instance=instance,
            raise_on_error=False,
            # Dagster's own tells every step of every window.
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            tags={
                "dagster/asset_partition_range_start": windows[0],
                "dagster/asset_partition_range_end": windows[-1],
            },
        )
        for check in result.get_asset_check_evaluations():
            if not check.passed:
                where = f"{check.asset_key.to_user_string()}, {check.check_name}"
                print(f"{where}: {check.description}", flush=True)
        return result.success
