"""growth: what a hundred times as many jobs in the store cost: rate, answers, memory, disk.

The pool is held by jobs that wait, so that all are queued before the first of them runs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from time import monotonic_ns, perf_counter

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import Bar, Chart, Finding, Goal, Spread, Table, percentile
from tests.benchmarks.noop import timed
from tests.benchmarks.parts.holding import asked, held, lines
from tests.benchmarks.parts.moment import MOMENT
from tests.benchmarks.parts.ours import NOOP, Jobspool, jobspool
from tests.benchmarks.parts.usage import peak_rss_bytes

ONCE = 100_000
"""More are measured in one round only, for it takes minutes."""
STARTS = 20
MORE = 10_000
MORE_TIMES = 5
"""One takes a third of a second: a disturbance would be all of it."""

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
    """Jobs a second of other batches, when all are finished."""
    peak_mb: float
    """Most memory that the workers ever had."""
    disk_mb: float
    """Database and log, before the other batches."""


def measure(bench: Bench) -> Finding:
    finding = Finding()
    grown: dict[int, list[Grown]] = defaultdict(list)
    for n in range(1, bench.rounds + 1):
        for rows in bench.rows:
            if n > 1 and rows > ONCE:
                continue
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
    finding.goals += _goals(grown)
    return finding


def _grow(bench: Bench, rows: int) -> Grown:
    with jobspool(bench, moments=True) as service:
        with held(service):
            begun = perf_counter()
            path = service.stream(lines(rows))
            accepted = rows / (perf_counter() - begun)
            queued_ms = asked(service, path)
            claim_ms = percentile([_start_ms(service) for _ in range(STARTS)], 50)
            before = _commits(service)
        begun = perf_counter()
        service.completed(path)
        rate = rows / (perf_counter() - begun)
        after = _commits(service)
        disk_bytes = sum(file.stat().st_size for file in service.data.glob("*.db*"))
        return Grown(
            accepted,
            queued_ms,
            claim_ms,
            rate,
            (after[0] - before[0]) / (after[1] - before[1]) * 1000,
            asked(service, path),
            MORE / median(timed(service, NOOP, MORE)[0] for _ in range(MORE_TIMES)),
            sum(map(peak_rss_bytes, service.workers())) / 1e6,
            disk_bytes / 1e6,
        )


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
            f" first runs. Rounds: {bench.rounds}, one for more than {ONCE:,}; their median (and"
            " range)."
        ],
    )


def _both(name: str, found: list[Grown]) -> str:
    p50, p99 = (Spread.of(getattr(one, name)[n] for one in found).median for n in (0, 1))
    return f"{p50:.1f} / {p99:.1f}"


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
