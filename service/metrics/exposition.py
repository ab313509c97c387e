"""The numbers as Prometheus reads them."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service import __version__
from service.metrics.metrics import METRICS, SUM, Told, bounds_of
from service.metrics.scoreboard import Scoreboard, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGES = {
    "jobspool_queue_depth": "Jobs that are queued, in the whole service.",
    "jobspool_oldest_wait_seconds": "Age of the oldest batch that has queued jobs; 0 without one.",
    "jobspool_processes": "Processes that serve this store.",
}
"""What is not counted but read from the store."""


def exposition(board: Scoreboard, read: Mapping[str, float]) -> bytes:
    """All processes' numbers in one text. ``read`` has values of GAUGES; what it lacks is
    left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(board, read))
    return generate_latest(registry)


class _Told(Collector):
    def __init__(self, board: Scoreboard, read: Mapping[str, float]) -> None:
        self._board = board
        self._read = read

    def collect(self) -> Iterator[Metric]:
        sums: defaultdict[str, defaultdict[Series, float]] = defaultdict(lambda: defaultdict(float))
        for (name, *labels), value in self._board.read():
            sums[name][tuple(labels)] += value
        for name, told in METRICS.items():
            yield _family(name, told, sums[name])
        for name, value in self._read.items():
            yield GaugeMetricFamily(name, GAUGES[name], value=value)
        about = {"version": __version__, "python_version": platform.python_version()}
        yield InfoMetricFamily("jobspool_build", "What is running.", value=about)


def _family(name: str, told: Told, values: Mapping[Series, float]) -> Metric:
    if told.kind == "histogram":
        return _histogram(name, told, values)
    of_kind = CounterMetricFamily if told.kind == "counter" else GaugeMetricFamily
    family = of_kind(name, told.help, labels=told.labels)
    for labels, value in sorted(values.items() if values or told.labels else [((), 0.0)]):
        family.add_metric(labels, value)
    return family


def _histogram(name: str, told: Told, values: Mapping[Series, float]) -> Metric:
    family = HistogramMetricFamily(name, told.help, labels=told.labels)
    bounds = bounds_of(name)
    kinds: Iterable[Series] = sorted({series[:-1] for series in values})
    for labels in kinds if told.labels else [()]:
        counts = accumulate(values.get((*labels, bound), 0.0) for bound in bounds)
        total = values.get((*labels, SUM), 0.0)
        family.add_metric(labels, list(zip(bounds, counts, strict=True)), sum_value=total)
    return family
