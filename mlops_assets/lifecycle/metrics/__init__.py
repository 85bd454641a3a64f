"""Metrics, each one object found by its name in YAML."""

from mlops_assets.lifecycle.metrics.base import Metric, RowMetric, SumMetric
from mlops_assets.lifecycle.metrics.classification import (
    F1,
    Accuracy,
    BalancedAccuracy,
    BrierScore,
    LogLoss,
    MacroF1,
    Recall,
)
from mlops_assets.lifecycle.metrics.counts import (
    ActualOverExpected,
    Gini,
    PoissonDeviance,
    Tweedie15,
    Tweedie19,
)
from mlops_assets.lifecycle.metrics.ranked import AveragePrecision, RocAuc
from mlops_assets.lifecycle.metrics.rankings import HitRateAtTen, MapAtTen, NdcgAtTen, RecallAtTen
from mlops_assets.lifecycle.metrics.regression import (
    R2,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)

METRICS: dict[str, Metric] = {
    cls.name: cls()
    for cls in (
        Accuracy,
        LogLoss,
        BrierScore,
        BalancedAccuracy,
        F1,
        Recall,
        MacroF1,
        AveragePrecision,
        RocAuc,
        MeanAbsoluteError,
        MeanSquaredError,
        RootMeanSquaredError,
        R2,
        PoissonDeviance,
        Tweedie15,
        Tweedie19,
        ActualOverExpected,
        Gini,
        NdcgAtTen,
        HitRateAtTen,
        RecallAtTen,
        MapAtTen,
    )
}

__all__ = ["METRICS", "Metric", "RowMetric", "SumMetric"]
