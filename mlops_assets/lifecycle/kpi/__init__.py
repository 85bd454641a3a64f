"""What a model is worth to the business: KPIs, one class each, found by name in ``gate.kpi``."""

from typing import TYPE_CHECKING, Any

from pydantic import create_model

from mlops_assets.lifecycle.declaration import Declaration
from mlops_assets.lifecycle.kpi.alerts import BlockedValueAtBudget, FalsePositivesPerTruePositive
from mlops_assets.lifecycle.kpi.base import Kpi
from mlops_assets.lifecycle.kpi.counts import ActualOverExpected
from mlops_assets.lifecycle.kpi.revenue import RevenueAtLoggedPrices, RevenueProxy

KPIS: dict[str, type[Kpi]] = {
    cls.name: cls
    for cls in (
        BlockedValueAtBudget,
        FalsePositivesPerTruePositive,
        RevenueAtLoggedPrices,
        RevenueProxy,
        ActualOverExpected,
    )
}

if TYPE_CHECKING:

    class KpiPolicy(Declaration):
        """One optional key for each KPI."""

else:
    _keys: dict[str, Any] = {name: (kpi | None, None) for name, kpi in KPIS.items()}
    KpiPolicy = create_model("KpiPolicy", __base__=Declaration, **_keys)

__all__ = ["KPIS", "Kpi", "KpiPolicy"]
