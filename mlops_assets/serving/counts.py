"""The counts of several workers as one: each tells the others its own, once a second."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from mlops_assets.serving.errors import brief

SECONDS = 1.0
ADDITIVE = ("counter", "histogram")

log = logging.getLogger(__name__)


class SharedCounts:
    """Tells this worker's counters and histograms, and adds up everybody's.

    What a worker had told stays when it dies: a sum that fell would look like a restart of all.

    Parameters
    ----------
    folder : Path
        The workers' own; exists.
    page : callable
        Gives this worker's page in Prometheus' text format.
    """

    def __init__(self, folder: Path, page: Callable[[], bytes]):
        self._page = page
        self._folder = folder
        # A process id may come back.
        self._file = folder / f"{os.getpid()}-{os.urandom(4).hex()}.prom"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counts", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Tell a last time, and end."""
        self._stopping.set()
        self._thread.join()

    def total(self) -> bytes:
        """The page of all workers together; the others' counts are a second old at most."""
        others = [file for file in self._folder.glob("*.prom") if file != self._file]
        pages = [self._page(), *(file.read_bytes() for file in sorted(others))]
        together = CollectorRegistry()
        together.register(_Sum(page.decode() for page in pages))
        return generate_latest(together)

    def _run(self) -> None:
        while True:
            stopping = self._stopping.wait(SECONDS)
            try:
                spare = self._file.with_suffix(".new")
                spare.write_bytes(self._page())
                os.replace(spare, self._file)
            except OSError as error:
                log.error("other workers can't be told what was counted here: %s", brief(error))
            if stopping:
                return


class _Sum(Collector):
    def __init__(self, pages: Iterable[str]):
        self._metrics: dict[str, Metric] = {}
        self._sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for page in pages:
            for family in text_string_to_metric_families(page):
                if family.type in ADDITIVE:
                    self._add(family)

    def _add(self, family: Metric) -> None:
        known = Metric(family.name, family.documentation, family.type)
        self._metrics.setdefault(family.name, known)
        sums = self._sums.setdefault(family.name, {})
        for sample in family.samples:
            place = sample.name, tuple(sample.labels.items())
            sums[place] = sums.get(place, 0.0) + sample.value

    def collect(self) -> Iterator[Any]:
        """Each metric with the sums of its samples."""
        for name, metric in self._metrics.items():
            for (sample, labels), value in self._sums[name].items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
