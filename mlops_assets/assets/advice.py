"""Stage 9: what to do about a window, from both reports on it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import ADVICE, DRIFT_REPORT, PERFORMANCE_REPORT, key, stored_as
from mlops_assets.lifecycle.advice.advise import advise
from mlops_assets.lifecycle.reports import Advice
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.resources import Platform, ReportIOManager

NOTHING_TO_DO = "nothing_to_do"


def advice(
    spec: ModelSpec, window: Window, platform: Platform, stored: ReportIOManager
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The advice on the reports as they are stored, and the check on it."""
    drift, performance = (
        stored.load(key(spec, report), stored_as(window))
        for report in (DRIFT_REPORT, PERFORMANCE_REPORT)
    )
    found = advise(spec, drift, performance, now=platform.now())
    asset = key(spec, ADVICE)
    yield dg.MaterializeResult(asset_key=asset, value=found, metadata=_metadata(found))
    yield dg.AssetCheckResult(
        asset_key=asset,
        check_name=NOTHING_TO_DO,
        passed=found.action == "leave" and not found.needs_person,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{found.action}: {found.reasons[0]}",
    )


def _metadata(found: Advice) -> dict[str, Any]:
    return {
        "action": found.action,
        "needs a person": found.needs_person,
        "reasons": display.bullets(found.reasons),
        "columns to fix": ", ".join(found.columns) or "none",
        "version": found.version,
    }
