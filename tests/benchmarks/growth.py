"""growth: what a hundred times as many jobs in the store cost: rate, answers, memory, disk.

The pool is held by jobs that wait, so that all are queued before the first of them runs.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic_ns, perf_counter

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import Bar, Chart, Finding, Goal, Spread, Table, percentile
from tests.benchmarks.load.caller import Caller
from tests.benchmarks.load.request import request
from tests.benchmarks.noop import timed
from tests.benchmarks.parts.moment import MOMENT
from tests.benchmarks.parts.ours import NOOP, TIMEOUT_S, Jobspool, jobspool
from tests.benchmarks.parts.usage import peak_rss_bytes
from tests.support.waiting import eventually

POOL = 16
"""Threads of the pool: our default."""
HELD = {"type": "numbers", "params": {"count": 1, "delay_s": 3_600.0}}
BLOCK = 1_000
"""Lines that are sent at once."""
PROBES = 200
STARTS = 20
MORE = 10_000

BATCHES = 1_000
JOBS_EACH = 100

WANTED_MB = 250
WANTED_PERCENT = 80

COMMITS = re.compile(r"^jobspool_commit_seconds_(sum|count) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Grown:
    """One store that got its jobs, and ended them."""

    accepted: float
    """Jobs a second, until the 202."""
    queued_ms: tuple[float, float]
    """Status, p50 and p99, while all are queued."""
    claim_ms: float
    """From a POST beside them to the start of its job on a thread of its own."""
    rate: float
    """Jobs a second, from the first to the last."""
    commit_ms: float
    """A transaction meanwhile."""
    ended_ms: tuple[float, float]
    """Status when all have ended."""
    more: float
    """Jobs a second of another batch, when all are finished."""
    peak_mb: float
    """Most memory that the workers ever had."""
    disk_mb: float
    """Database and log."""


def measure(bench: Bench) -> Finding:
    finding = Finding()
    grown: dict[int, list[Grown]] = defaultdict(list)
    for rows in bench.rows:
        for n in range(1, _rounds(bench, rows) + 1):
            with excused(finding.absent, f"{rows:,} jobs"):
                one = _grow(bench, rows)
                grown[rows].append(one)
                bench.say(f"round {n}: {rows:,} jobs: {one.rate:,.0f} jobs/s, {one.peak_mb:.0f} MB")
    if not grown:
        return finding
    finding.tables.append(_table(bench, grown))
    bars = [Bar(f"{rows:,} jobs", _rate(found), ours=True) for rows, found in grown.items()]
    finding.charts.append(
        Chart("Jobs in the store, all queued before the first runs", "jobs/s", bars)
    )
    bars = [
        Bar(f"{rows:,} jobs", Spread.of(one.peak_mb for one in found), ours=True)
        for rows, found in grown.items()
    ]
    finding.charts.append(Chart("Most memory of the worker", "MB", bars))
    with excused(finding.absent, f"{BATCHES:,} batches"):
        finding.tables.append(_many_batches(bench))
    finding.goals += _goals(grown)
    return finding


def _rounds(bench: Bench, rows: int) -> int:
    """A small store is soon full, and its numbers scatter more."""
    return 1 if rows > 100_000 else bench.rounds


def _grow(bench: Bench, rows: int) -> Grown:
    with jobspool(bench, moments=True) as service:
        with _held(service):
            begun = perf_counter()
            path = service.stream(_lines(rows))
            accepted = rows / (perf_counter() - begun)
            queued_ms = _asked(service, path)
            claim_ms = percentile([_start_ms(service) for _ in range(STARTS)], 50)
            before = _commits(service)
        begun = perf_counter()
        service.completed(path)
        rate = rows / (perf_counter() - begun)
        after = _commits(service)
        return Grown(
            accepted,
            queued_ms,
            claim_ms,
            rate,
            (after[0] - before[0]) / (after[1] - before[1]) * 1000,
            _asked(service, path),
            MORE / timed(service, NOOP, MORE)[0],
            sum(map(peak_rss_bytes, service.workers())) / 1e6,
            sum(file.stat().st_size for file in service.data.glob("*.db*")) / 1e6,
        )


@contextmanager
def _held(service: Jobspool) -> Iterator[None]:
    """No job of the pool runs inside."""
    path = service.submit([HELD] * POOL, priority=100)
    eventually(lambda: service.get(path)["counts"]["running"] == POOL, "the pool is held")
    yield
    service.cancel(path)


def _lines(rows: int) -> Iterator[bytes]:
    line = json.dumps(NOOP).encode() + b"\n"
    for first in range(0, rows, BLOCK):
        yield line * min(BLOCK, rows - first)


def _asked(service: Jobspool, path: str) -> tuple[float, float]:
    """p50 and p99 of one client's requests, in ms."""
    get, took = request("GET", path), []
    with Caller(service.port) as caller:
        for _ in range(PROBES):
            begun = perf_counter()
            assert caller.ask(get).status == 200
            took.append((perf_counter() - begun) * 1000)
    return percentile(took, 50), percentile(took, 99)


def _start_ms(service: Jobspool) -> float:
    begun_ns = monotonic_ns()
    (at_ns,) = service.run([MOMENT], executor="dedicated")
    return float(at_ns - begun_ns) / 1e6


def _commits(service: Jobspool) -> tuple[float, float]:
    """Seconds in transactions so far, and how many."""
    found = dict(COMMITS.findall(service.text("/metrics")))
    return float(found["sum"]), float(found["count"])


def _rate(found: list[Grown]) -> Spread:
    return Spread.of(one.rate for one in found)


def _table(bench: Bench, grown: dict[int, list[Grown]]) -> Table:
    def row(rows: int, found: list[Grown]) -> list[str]:
        return [
            f"{rows:,}",
            Spread.of(one.accepted for one in found).shown(),
            _rate(found).shown(),
            Spread.of(one.more for one in found).shown(),
            _both("queued_ms", found),
            _both("ended_ms", found),
            Spread.of(one.claim_ms for one in found).shown(1),
            Spread.of(one.commit_ms for one in found).shown(1),
            Spread.of(one.peak_mb for one in found).shown(),
            Spread.of(one.disk_mb for one in found).shown(1),
        ]

    return Table(
        "A growing store",
        [
            "no-op jobs",
            "accepted, jobs/s",
            "run, jobs/s",
            f"then {MORE:,} more, jobs/s",
            "status while queued, p50 / p99 ms",
            "status when ended, p50 / p99 ms",
            "a job on its own thread starts beside them, p50 ms",
            "transaction, mean ms",
            "worker's peak memory, MB",
            "database, MB",
        ],
        [row(rows, found) for rows, found in grown.items()],
        [
            "Submitted as one NDJSON stream to a service with one worker, all queued before the"
            f" first runs. Rounds: {bench.rounds}, one for more than 100,000; their median (and"
            " range)."
        ],
    )


def _both(name: str, found: list[Grown]) -> str:
    p50, p99 = (Spread.of(getattr(one, name)[n] for one in found).median for n in (0, 1))
    return f"{p50:.1f} / {p99:.1f}"


def _many_batches(bench: Bench) -> Table:
    """The same number of jobs in a thousand batches that are all active, and in one."""
    jobs = JOBS_EACH if max(bench.rows) >= BATCHES * JOBS_EACH else 10
    with jobspool(bench) as service:
        with _held(service):
            paths = [service.submit([NOOP] * jobs) for _ in range(BATCHES)]
            queued_ms = _asked(service, paths[0])
            list_ms = _asked(service, "/v1/batches")
        many = BATCHES * jobs / _emptied_s(service)
        assert all(service.get(path)["status"] == "completed" for path in paths)
        with _held(service):
            service.stream(_lines(BATCHES * jobs))
        one = BATCHES * jobs / _emptied_s(service)
        peak_mb = sum(map(peak_rss_bytes, service.workers())) / 1e6
    bench.say(f"{BATCHES:,} batches: {many:,.0f} jobs/s; one: {one:,.0f} jobs/s")
    return Table(
        f"{BATCHES:,} active batches of {jobs} jobs",
        [
            "jobs/s of all",
            "jobs/s of one batch of as many",
            "status, p50 / p99 ms",
            "list of 100 batches, p50 / p99 ms",
            "worker's peak memory, MB",
        ],
        [
            [
                f"{many:,.0f}",
                f"{one:,.0f}",
                f"{queued_ms[0]:.1f} / {queued_ms[1]:.1f}",
                f"{list_ms[0]:.1f} / {list_ms[1]:.1f}",
                f"{peak_mb:,.0f}",
            ]
        ],
        ["All were submitted before the first job ran; then they take turns."],
    )


def _emptied_s(service: Jobspool) -> float:
    """Seconds until nothing is queued and nothing runs."""
    begun = perf_counter()

    def empty() -> bool:
        now = service.get("/v1/executor")
        return not now["queued"] and not now["threads"]["busy"]

    eventually(empty, "all have run", timeout_s=TIMEOUT_S, every_s=0.05)
    return perf_counter() - begun


def _goals(grown: dict[int, list[Grown]]) -> Iterator[Goal]:
    fewest, most = min(grown), max(grown)
    peak = Spread.of(one.peak_mb for one in grown[most]).median
    yield Goal(
        f"{most:,} queued jobs in at most {WANTED_MB} MB (the worker's peak RSS)",
        f"{peak:.0f} MB",
        peak <= WANTED_MB,
    )
    if fewest < most:
        percent = _rate(grown[most]).median / _rate(grown[fewest]).median * 100
        yield Goal(
            f"jobs/s of {most:,} at least {WANTED_PERCENT} % of those of {fewest:,}",
            f"{percent:.0f} %",
            percent >= WANTED_PERCENT,
        )
