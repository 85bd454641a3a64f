"""The inventory of all models as an asset of the platform, taken every day."""

from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.types import report_type
from mlops_assets.lifecycle.inventory_report import Inventory
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.resources import Platform, ReportIOManager

MODEL_INVENTORY = "model_inventory"
CRON = "0 6 * * *"
MOST_MODELS = 50


def inventory_definitions(defs: Path) -> dg.Definitions:
    """``model_inventory``, its job and its schedule.

    Parameters
    ----------
    defs : Path
        Folder of the declarations.
    """

    @dg.asset(
        key=dg.AssetKey([MODEL_INVENTORY]),
        group_name="platform",
        io_manager_key="reports",
        dagster_type=report_type(Inventory),
        kinds={"json"},
        description="Every model: what serves, since when, on whose word, and how it is doing.",
    )
    def model_inventory(
        platform: Platform, reports: dg.ResourceParam[ReportIOManager]
    ) -> dg.MaterializeResult:
        specs = {name: spec for name, (spec, _) in load_specs(defs).items()}
        from mlops_assets.lifecycle.inventory import take_inventory

        found = take_inventory(platform.registry, platform.journal, specs, reports.newest)
        return dg.MaterializeResult(value=found, metadata=_metadata(found))

    job = dg.define_asset_job(
        name="take_inventory",
        selection=dg.AssetSelection.assets(dg.AssetKey([MODEL_INVENTORY])),
        description="List every model from registry, journal and stored reports.",
        executor_def=dg.in_process_executor,
    )
    schedule = dg.ScheduleDefinition(
        name="take_inventory_daily",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return dg.Definitions(assets=[model_inventory], jobs=[job], schedules=[schedule])


def _metadata(found: Inventory) -> dict[str, Any]:
    counts = [m.status for m in found.models]
    return {
        "models": len(found.models),
        "in production": counts.count("in_production"),
        "on their way": sum(bool(m.rollout) for m in found.models),
        "retired": counts.count("retired"),
        "inventory": display.table(
            [
                "model",
                "status",
                "version",
                "since",
                "owners",
                "who",
                "evaluation",
                "drift",
            ],
            [
                [
                    m.model,
                    "; ".join(filter(None, (m.status.replace("_", " "), m.rollout))),
                    m.version,
                    m.since,
                    ", ".join(m.owners),
                    f"{m.who}: {m.why}" if m.who else "",
                    m.evaluation,
                    m.drift,
                ]
                for m in found.models[:MOST_MODELS]
            ],
        ),
    }
