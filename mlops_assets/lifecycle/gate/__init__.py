"""The gate: paired tests, one class each, found by name in YAML, and the verdict."""

from mlops_assets.lifecycle.gate.base import Interval, LevelTest, Paired, PairedTest
from mlops_assets.lifecycle.gate.cluster_bootstrap import ClusterBootstrap
from mlops_assets.lifecycle.gate.delong import Delong
from mlops_assets.lifecycle.gate.mcnemar import Mcnemar
from mlops_assets.lifecycle.gate.paired_t import PairedT
from mlops_assets.lifecycle.gate.sign_flip import SignFlip
from mlops_assets.lifecycle.gate.wilcoxon import Wilcoxon
from mlops_assets.lifecycle.metrics import Metric

TESTS: dict[str, PairedTest] = {
    cls.name: cls() for cls in (PairedT, ClusterBootstrap, Delong, Wilcoxon, Mcnemar, SignFlip)
}


def default_test(metric: Metric) -> LevelTest:
    """The test of a metric where none is declared, which gives its intervals as well."""
    tests: tuple[LevelTest, ...] = (PairedT(), Delong(), ClusterBootstrap())
    return next(test for test in tests if test.supports(metric) is None)


__all__ = ["TESTS", "Interval", "LevelTest", "Paired", "PairedTest", "default_test"]
