"""What Prometheus scrapes; what a request touches is bound before the first request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mlops_assets.serving.models import Models
from mlops_assets.serving.tally import ROLE, Traffic

ROWS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class VersionMetrics:
    """The metrics of one version in one role."""

    answered: Callable[[float], None]
    batch_rows: Any
    log_failures: Any
    refusals: Any


class Metrics:
    """The metrics of a server.

    Parameters
    ----------
    models : Models
        Asked at each scrape for what serves and how often a version was loaded.
    """

    def __init__(self, models: Models):
        self._registry = registry = CollectorRegistry()
        self._traffic = Traffic()
        registry.register(self._traffic)
        self._batch = Histogram(
            "mlops_batch_rows", "Rows that were scored at once", ("model", "version"),
            buckets=ROWS, registry=registry,
        )  # fmt: skip
        self._log_failures = Counter(
            "mlops_prediction_log_failures", "Writes to the prediction log that failed",
            ("model",), registry=registry,
        )  # fmt: skip
        self._refusals = Counter(
            "mlops_model_refusals", "Requests that passed every check and the model can't score",
            ROLE, registry=registry,
        )  # fmt: skip
        self.shadow_dropped = Counter(
            "mlops_shadow_dropped", "Requests that a shadow which fell behind did not see",
            ("model",), registry=registry,
        )  # fmt: skip
        self.labels = Counter(
            "mlops_feedback_labels", "Labels that were taken", ("model",), registry=registry
        )
        self.in_flight = Gauge("mlops_in_flight", "Requests under way", registry=registry)
        registry.register(_Served(models))

    def of(self, model: str, version: int, variant: str) -> VersionMetrics:
        """What a version's requests touch."""
        return VersionMetrics(
            answered=self._traffic.answered(model, version, variant).observe,
            batch_rows=self._batch.labels(model, version),
            log_failures=self._log_failures.labels(model),
            refusals=self._refusals.labels(model, version, variant),
        )

    def refused(self, model: str, version: str, variant: str, status: int) -> None:
        """Count a request that got no prediction; empty names where no version was reached."""
        self._traffic.refused(model, version, variant, status)

    def render(self) -> bytes:
        """The page Prometheus reads."""
        return generate_latest(self._registry)


class _Served(Collector):
    def __init__(self, models: Models):
        self._models = models

    def collect(self) -> Iterator[Any]:
        """Read when scraped: loading happens in a thread that knows no metrics."""
        for name, text, counts in (
            ("mlops_model_loads", "Versions loaded", self._models.loads),
            ("mlops_model_load_failures", "Versions that could not be loaded",
             self._models.load_failures),
        ):  # fmt: skip
            family = CounterMetricFamily(name, text, labels=["model"])
            for model, count in sorted(counts.copy().items()):
                family.add_metric([model], count)
            yield family
        ready = GaugeMetricFamily("mlops_ready", "1 once champions are loaded")
        ready.add_metric([], float(self._models.ready))
        yield ready
        served = GaugeMetricFamily("mlops_served", "1 for what serves", labels=["model", "version"])
        for version in (model.version for model in self._models.served()):
            served.add_metric([version.model, str(version.number)], 1)
        yield served
