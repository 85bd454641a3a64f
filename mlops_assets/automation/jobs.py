"""A model's jobs: its data, its whole lifecycle, its monitoring."""

from typing import Any

import dagster as dg

from mlops_assets.assets import keys
from mlops_assets.lifecycle.spec import ModelSpec

DATA, LIFECYCLE, MONITORING = "data", "lifecycle", "monitoring"

STAGES = {
    DATA: (keys.RAW_DATA, keys.VALIDATED_FEATURES),
    LIFECYCLE: (
        keys.RAW_DATA,
        keys.VALIDATED_FEATURES,
        keys.TRAINED_MODEL,
        keys.EVALUATION_REPORT,
        keys.DEPLOYMENT,
    ),
    # Apart from the lifecycle: a drift report made by a retrain would ask for the next one.
    MONITORING: (
        keys.LIVE_PREDICTIONS,
        keys.DRIFT_REPORT,
        keys.PERFORMANCE_REPORT,
        keys.ADVICE,
    ),
}

WORDS = {
    DATA: "Read raw data, check it, build features. Takes a range of windows in one run.",
    LIFECYCLE: "Data, training, judgement, and promotion of what the gate accepts.",
    MONITORING: "Collect a window's live predictions, report on drift and performance, advise.",
}


def jobs(spec: ModelSpec) -> dict[str, Any]:
    """The jobs by their kind; named ``<model>_<kind>``."""
    return {
        kind: dg.define_asset_job(
            name=f"{spec.name}_{kind}",
            selection=dg.AssetSelection.assets(*(keys.key(spec, stage) for stage in stages)),
            description=WORDS[kind],
            tags={keys.MODEL_TAG: spec.name},
            run_tags=_run_tags(spec, kind),
        )
        for kind, stages in STAGES.items()
    }


def _run_tags(spec: ModelSpec, kind: str) -> dict[str, str]:
    tags = {keys.MODEL_TAG: spec.name, keys.ALERTS_TAG: ",".join(spec.alerts)}
    # Dagster's run queue starts one run at a time for each value of this tag.
    return tags if kind == MONITORING else tags | {keys.EXCLUSIVE_TAG: spec.name}
