"""The guardrails of a rollout: one class each, found by name in YAML."""

from mlops_assets.lifecycle.rollout.guardrails.base import (
    Budget,
    Guardrail,
    GuardrailEvidence,
    Point,
)
from mlops_assets.lifecycle.rollout.guardrails.error_rate import ErrorRate
from mlops_assets.lifecycle.rollout.guardrails.kpi import Kpi
from mlops_assets.lifecycle.rollout.guardrails.latency_p95 import LatencyP95
from mlops_assets.lifecycle.rollout.guardrails.prediction import Prediction

GUARDRAILS: dict[str, Guardrail] = {
    cls.name: cls() for cls in (ErrorRate, LatencyP95, Prediction, Kpi)
}

__all__ = ["GUARDRAILS", "Budget", "Guardrail", "GuardrailEvidence", "Point"]
