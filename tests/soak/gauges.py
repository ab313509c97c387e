"""Memory, threads, descriptors and the WAL over time, while there is load."""

from __future__ import annotations

from statistics import median
from threading import Event, Thread
from time import time
from typing import NamedTuple

from tests.soak.peek import Peek, Usage
from tests.support.server import Server


class Sample(NamedTuple):
    at: float
    workers: dict[int, Usage]
    master: Usage
    wal_mib: float
    file_mib: float

    def most(self, name: str) -> float:
        """Of the worker that has the most."""
        return max((getattr(usage, name) for usage in self.workers.values()), default=0.0)


class Gauges(Thread):
    """Reads them every so often, whenever jobs are queued or running."""

    def __init__(self, server: Server, peek: Peek, every_s: float = 1.0) -> None:
        super().__init__(name="gauges", daemon=True)
        self.samples: list[Sample] = []
        self._server = server
        self._peek = peek
        self._every_s = every_s
        self._over = Event()

    def run(self) -> None:
        while not self._over.wait(self._every_s):
            if self._peek.queued() or self._peek.running():
                sample = self.read()
                if sample.workers:
                    self.samples.append(sample)

    def stop(self) -> None:
        self._over.set()
        self.join(10)

    def read(self) -> Sample:
        try:
            workers = self._peek.usage(self._server.workers())
            master = self._peek.usage([self._server.process.pid])[self._server.process.pid]
            return Sample(time(), workers, master, self._peek.wal_mib(), self._peek.file_mib())
        except (OSError, KeyError):  # between two lives of the service
            return Sample(time(), {}, Usage(0, 0, 0), 0, 0)

    def since(self, moment: float) -> list[Sample]:
        return [sample for sample in self.samples if sample.at >= moment]


class Trend(NamedTuple):
    """Medians of the first and the last third of the samples."""

    name: str
    first: float
    last: float
    most: float

    def __str__(self) -> str:
        return f"{self.name} {self.first:,.1f} -> {self.last:,.1f} (most {self.most:,.1f})"


def trends(samples: list[Sample]) -> list[Trend]:
    series = {
        "worker RSS MiB": [sample.most("rss_mib") for sample in samples],
        "worker threads": [sample.most("threads") for sample in samples],
        "worker fds": [sample.most("fds") for sample in samples],
        "master RSS MiB": [sample.master.rss_mib for sample in samples],
        "master fds": [float(sample.master.fds) for sample in samples],
        "WAL MiB": [sample.wal_mib for sample in samples],
    }
    third = max(1, len(samples) // 3)
    return [
        Trend(name, median(values[:third]), median(values[-third:]), max(values))
        for name, values in series.items()
        if values
    ]
