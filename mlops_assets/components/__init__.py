"""Dagster components: one YAML file, one model's whole life."""

from mlops_assets.components.model_lifecycle import ModelLifecycle

__all__ = ["ModelLifecycle"]
