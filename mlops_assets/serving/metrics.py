"""What Prometheus scrapes; what a request touches is bound before the first request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mlops_assets.serving.counts import SharedCounts
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
        self.in_flight = InFlight()
        self._models = models
        registry.register(_Loads(models))
        self._present = CollectorRegistry()
        self._present.register(_Present(models, self.in_flight))
        self.shared: SharedCounts | None = None

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

    def count_lost(self, failures: Callable[[str], Any]) -> None:
        """Tell at each scrape how many answers of each model left without a record of them."""
        self._registry.register(_Lost(self._models, failures))

    def render(self) -> bytes:
        """The page Prometheus reads; of several workers, the counts are those of all."""
        counts = self.shared.total() if self.shared else self._counts()
        return counts + generate_latest(self._present)

    def share(self, folder: Path) -> SharedCounts:
        """Add the counts of other workers, which share theirs in the same folder, to ours."""
        self.shared = SharedCounts(folder, self._counts)
        return self.shared

    def _counts(self) -> bytes:
        return generate_latest(self._registry)


class _Lost(Collector):
    def __init__(self, models: Models, failures: Callable[[str], Any]):
        self._models, self._failures = models, failures

    def collect(self) -> Iterator[Any]:
        """Of what serves; a model that never lost an answer says 0."""
        text = "Answers that left though the prediction log could not be written"
        family = CounterMetricFamily("mlops_unlogged_answers", text, labels=["model"])
        for name in (model.version.model for model in self._models.served()):
            family.add_metric([name], self._failures(name).lost)
        yield family


class InFlight:
    """How many requests are under way: asked when scraped."""

    def __init__(self) -> None:
        self.count: Callable[[], float] = lambda: 0

    def set_function(self, count: Callable[[], float]) -> None:
        """Say who counts."""
        self.count = count


class _Loads(Collector):
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


class _Present(Collector):
    """What is so now; of several workers, of the one that is asked."""

    def __init__(self, models: Models, in_flight: InFlight):
        self._models, self._in_flight = models, in_flight

    def collect(self) -> Iterator[Any]:
        """Read when scraped."""
        for name, text, value in (
            ("mlops_in_flight", "Requests under way", self._in_flight.count()),
            ("mlops_ready", "1 once champions are loaded", self._models.ready),
            ("mlops_registry_followed", "0 once the registry is followed no more",
             self._models.live),
        ):  # fmt: skip
            yield GaugeMetricFamily(name, text, value=float(value))
        served = GaugeMetricFamily("mlops_served", "1 for what serves", labels=["model", "version"])
        for version in (model.version for model in self._models.served()):
            served.add_metric([version.model, str(version.number)], 1)
        yield served
