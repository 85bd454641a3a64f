"""Distances between two sides of a column, each one class found by its name in YAML."""

from mlops_assets.lifecycle.drift.methods.base import DriftMethod
from mlops_assets.lifecycle.drift.methods.chi_square import ChiSquare
from mlops_assets.lifecycle.drift.methods.jensen_shannon import JensenShannon
from mlops_assets.lifecycle.drift.methods.ks import KolmogorovSmirnov
from mlops_assets.lifecycle.drift.methods.psi import PopulationStabilityIndex
from mlops_assets.lifecycle.drift.methods.wasserstein import Wasserstein

METHODS: dict[str, DriftMethod] = {
    cls.name: cls()
    for cls in (
        Wasserstein,
        JensenShannon,
        PopulationStabilityIndex,
        KolmogorovSmirnov,
        ChiSquare,
    )
}

__all__ = ["METHODS", "DriftMethod"]
