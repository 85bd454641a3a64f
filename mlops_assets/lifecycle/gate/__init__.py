"""The gate: paired tests, one class each, found by name in YAML, and the verdict."""

from mlops_assets.lifecycle.gate.base import Interval, Paired, PairedTest
from mlops_assets.lifecycle.gate.cluster_bootstrap import ClusterBootstrap
from mlops_assets.lifecycle.gate.paired_t import PairedT

TESTS: dict[str, PairedTest] = {cls.name: cls() for cls in (PairedT, ClusterBootstrap)}

__all__ = ["TESTS", "Interval", "Paired", "PairedTest"]
