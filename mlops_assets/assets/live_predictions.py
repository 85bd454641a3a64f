"""What was asked and answered in a window, and which of it has a label."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import LIVE_PREDICTIONS, VALIDATED_FEATURES, key, stored_as
from mlops_assets.lifecycle.label_join import LabelJoin, join_labels
from mlops_assets.lifecycle.live import live_predictions
from mlops_assets.lifecycle.prediction_log import PROBE
from mlops_assets.lifecycle.registry import SHADOW
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.training import join_windows
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import FrameIOManager, Platform

if TYPE_CHECKING:
    import pandas as pd

LOG_COMPLETE = "log_complete"
LABEL_MATURITY = "label_maturity"
LABELS_DUE = 0.95


def collect(
    spec: ModelSpec, folder: Path, window: Window, platform: Platform, stored: FrameIOManager
) -> tuple["pd.DataFrame", list]:
    """The answers of a window with their labels, and what Dagster shows of them.

    Parameters
    ----------
    folder : Path
        Where the declaration lies; relative paths in it start from there.
    stored : FrameIOManager
        Has the feature frames.
    """
    found = platform.prediction_log.read(spec.name, window.start, window.end)
    features = key(spec, VALIDATED_FEATURES)
    known = stored.exists(features, stored_as(window))
    truth = stored.load(features, stored_as(window)) if known else None
    asked = [r for r in found.records if r.variant not in (PROBE, SHADOW)]
    answered = [r for r in asked if not r.failed]
    earlier = _interactions_before(spec, window, stored)
    labels = join_labels(
        answered,
        truth,
        spec,
        earlier,
        feedback=platform.feedback_log.known(spec.name, answered),
        batch=_batch_labels(spec, folder, window),
    )
    live = live_predictions(answered, truth, spec, labels)
    asset = key(spec, LIVE_PREDICTIONS)
    events = [
        dg.MaterializeResult(
            asset_key=asset,
            value=live,
            metadata={
                "dagster/row_count": len(live),
                "versions": ", ".join(f"v{v}" for v in sorted(live["version"].unique())) or "none",
                "answered an error": len(asked) - len(answered),
                "ground truth": _label_words(labels, known),
                "contradicting labels": labels.conflicts,
                "preview": display.preview(live),
            },
        ),
        dg.AssetCheckResult(
            asset_key=asset,
            check_name=LOG_COMPLETE,
            passed=len(live) > 0 and found.torn == 0,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(live)} answers, {found.torn} records torn by a crash",
            metadata={"answers": len(live), "torn records": found.torn},
        ),
        _label_maturity(spec, live, platform.now()),
    ]
    return live, events


def _batch_labels(spec: ModelSpec, folder: Path, window: Window) -> "pd.DataFrame | None":
    if spec.labels is None:
        return None
    return spec.labels.read(window, time=spec.columns.time, base=folder)


def _label_words(labels: LabelJoin, features: bool) -> str:
    """How many labels each source gave."""
    given = [f"{count} from {name}" for name, count in labels.by_source.items() if count]
    if not features:
        given.append("the feature frame is not there yet")
    return ", ".join(given) or "none"


def _label_maturity(spec: ModelSpec, live: "pd.DataFrame", now: datetime) -> dg.AssetCheckResult:
    due = live[live["at"] + spec.columns.label_delay <= now]
    known = int(due[spec.label_column].notna().sum())
    passed = known >= LABELS_DUE * len(due)
    words = f"{known} of {len(due)} answers whose labels are due have one"
    if not known and not passed and spec.task_type.tabular and not spec.columns.join_key:
        # Nothing says which answer a label belongs to: none was ever to come.
        passed, words = True, "labels can't be joined: columns.key is not declared"
    return dg.AssetCheckResult(
        asset_key=key(spec, LIVE_PREDICTIONS),
        check_name=LABEL_MATURITY,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=words,
        metadata={"due": len(due), "labelled": known, "answers": len(live)},
    )


def _interactions_before(
    spec: ModelSpec, window: Window, stored: FrameIOManager
) -> "pd.DataFrame | None":
    """Ranking: what units had already, which is no news to them; as far back as training goes."""
    if spec.task_type.tabular or spec.cadence == "none":
        return None
    asset = key(spec, VALIDATED_FEATURES)
    earlier = spec.grid.back_from(window.key, spec.training.windows + 1)[:-1]
    frames = {w.key: stored.load(asset, w.key) for w in earlier if stored.exists(asset, w.key)}
    return join_windows(frames) if frames else None
