"""What is counted, and under which labels. Every label has few values, whatever clients send."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from prometheus_client import ProcessCollector

from service.metrics.scoreboard import Scoreboard, Series, Slot
from service.model import Committed, EndedJobs, JobState


class Told(NamedTuple):
    """How a metric is told to Prometheus. ``kind`` is one of its types."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


JOB_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
HTTP_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
SIZE_BOUNDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000)

METRICS = {
    "jobspool_jobs_finished": Told(
        "counter",
        "Jobs that ended, by how: succeeded, failed, cancelled. An attempt that is followed by "
        "another is no end.",
        ("type", "status"),
    ),
    "jobspool_job_errors": Told(
        "counter", "Jobs that ended failed, by the code of their error.", ("type", "code")
    ),
    "jobspool_job_run_seconds": Told(
        "histogram", "Run time of the last attempt of jobs that ended.", ("type",), JOB_BOUNDS
    ),
    "jobspool_job_queue_seconds": Told(
        "histogram",
        "Time in the queue before that attempt; waits for a host or a retry are part of it.",
        ("type",),
        JOB_BOUNDS,
    ),
    "jobspool_batches_ended": Told("counter", "Batches that ended, by outcome.", ("outcome",)),
    "jobspool_threads": Told(
        "gauge", "Job threads; not_returned are those that overstay.", ("state",)
    ),
    "jobspool_refused": Told(
        "counter", "Batches that were not accepted, by the code of the answer.", ("reason",)
    ),
    "jobspool_http_requests": Told(
        "counter", "Requests by route, method and status.", ("route", "method", "status")
    ),
    "jobspool_http_request_seconds": Told(
        "histogram",
        "From a request's headers to the last byte of its answer.",
        ("route",),
        HTTP_BOUNDS,
    ),
    "jobspool_commit_seconds": Told(
        "histogram", "Transactions of the journal, the fsync included.", (), COMMIT_BOUNDS
    ),
    "jobspool_commit_writes": Told(
        "histogram",
        "What went into one transaction: outcomes, pieces of text, other writes.",
        (),
        SIZE_BOUNDS,
    ),
    "process_cpu_seconds": Told("counter", "User and system CPU time of all workers."),
    "process_resident_memory_bytes": Told("gauge", "Resident memory of all workers."),
    "process_virtual_memory_bytes": Told("gauge", "Virtual memory of all workers."),
    "process_open_fds": Told("gauge", "Open file descriptors of all workers."),
}

OF_A_LIVING_WORKER = frozenset(name for name, told in METRICS.items() if told.kind == "gauge")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MOST_CODES = 50
SUM = "sum"


class Metrics:
    """Counts for one process; every thread may call it. Costs well under a commit or a request."""

    def __init__(self, board: Scoreboard | None = None, slot: int = 0) -> None:
        self.board = board or Scoreboard()
        self._slot = Slot(self.board, slot)
        self._types: frozenset[str] = frozenset()
        self._codes: set[str] = set()  # the journal's thread only
        self._process = ProcessCollector(registry=None)
        self._looking = Lock()
        self._cpu_s = 0.0  # already counted; guarded by _looking

    def know(self, job_types: Iterable[str]) -> None:
        """Only these are told by name. Call it before anything is counted."""
        self._types = frozenset(job_types)

    def committed(self, done: Committed) -> None:
        """A transaction of the journal, with what it brought to its end."""
        self._slot.add(
            [
                *_observed("jobspool_commit_seconds", (), [(done.seconds, 1)]),
                *_observed("jobspool_commit_writes", (), [(done.writes, 1)]),
                *_ended(done.jobs, self._type, self._code),
                *((("jobspool_batches_ended", str(b.outcome)), 1.0) for b in done.batches),
            ]
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """``route`` is a rule of the application, not the path."""
        counted = ("jobspool_http_requests", route, _method(method), str(status))
        observed = _observed("jobspool_http_request_seconds", (route,), [(seconds, 1)])
        self._slot.add([(counted, 1), *observed])

    def refused(self, code: str) -> None:
        self._slot.add([(("jobspool_refused", code), 1)])

    def threads(self, busy: int, idle: int, not_returned: int) -> None:
        now = {"busy": busy, "idle": idle, "not_returned": not_returned}
        self._slot.set((("jobspool_threads", state), n) for state, n in now.items())

    def process(self) -> None:
        """Look at this process. Nothing where there is no /proc."""
        now = {s.name: s.value for family in self._process.collect() for s in family.samples}
        self._slot.set(((name,), value) for name, value in now.items() if name in METRICS)
        with self._looking:
            cpu_s = now.get("process_cpu_seconds_total", 0.0)
            self._slot.add([(("process_cpu_seconds",), cpu_s - self._cpu_s)])
            self._cpu_s = cpu_s

    def _type(self, name: str) -> str:
        return name if name in self._types else "unknown"

    def _code(self, error: str | None) -> str:
        """Job code chooses it: the first so many are told by name."""
        try:
            code = str(json.loads(error or "{}").get("code"))[:100]
        except (ValueError, AttributeError):
            return "other"
        if len(self._codes) < MOST_CODES:
            self._codes.add(code)
        return code if code in self._codes else "other"


def forget_worker(board: Scoreboard, slot: int) -> None:
    """Call it in the master when the worker that had the slot is dead."""
    Slot(board, slot).clear(OF_A_LIVING_WORKER)


def bounds_of(name: str) -> list[str]:
    """The bounds of a histogram as Prometheus writes them."""
    return [*(str(float(bound)) for bound in METRICS[name].bounds), "+Inf"]


_BOUNDS = {name: bounds_of(name) for name, told in METRICS.items() if told.bounds}


def _observed(
    name: str, labels: tuple[str, ...], values: Sequence[tuple[float, int]]
) -> Iterable[tuple[Series, float]]:
    """What to add for these values, each seen so often: to the bucket of each, and their sum."""
    if not values:
        return []
    bounds, texts = METRICS[name].bounds, _BOUNDS[name]
    counted = [((name, *labels, texts[bisect_left(bounds, value)]), n) for value, n in values]
    return [*counted, ((name, *labels, SUM), sum([value * n for value, n in values]))]


def _ended(
    jobs: Sequence[EndedJobs],
    type_of: Callable[[str], str],
    code_of: Callable[[str | None], str],
) -> Iterator[tuple[Series, float]]:
    """One sum for many jobs: a transaction may end thousands."""
    for (name, state), alike in _grouped(jobs).items():
        label = (type_of(name),)
        yield ("jobspool_jobs_finished", *label, state.value), sum([one.number for one in alike])
        run = [(one.run_ms / 1000, one.number) for one in alike if one.run_ms is not None]
        queue = [(one.queue_ms / 1000, one.number) for one in alike if one.queue_ms is not None]
        yield from _observed("jobspool_job_run_seconds", label, run)
        yield from _observed("jobspool_job_queue_seconds", label, queue)
        if state is JobState.FAILED:
            for one in alike:
                yield ("jobspool_job_errors", *label, code_of(one.error)), one.number


def _grouped(jobs: Sequence[EndedJobs]) -> Mapping[tuple[str, JobState], Sequence[EndedJobs]]:
    """By type and state."""
    grouped: dict[tuple[str, JobState], list[EndedJobs]] = {}
    for one in jobs:
        grouped.setdefault((one.type, one.state), []).append(one)
    return grouped


def _method(method: str) -> str:
    return method if method in METHODS else "other"
