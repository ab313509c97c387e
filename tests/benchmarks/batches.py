"""batches: a thousand that are active at once, beside one of as many jobs."""

from __future__ import annotations

from time import perf_counter

from tests.benchmarks.bench import Bench
from tests.benchmarks.findings import Bar, Chart, Finding, Spread, Table
from tests.benchmarks.parts.holding import asked, held, lines
from tests.benchmarks.parts.ours import NOOP, TIMEOUT_S, Jobspool, jobspool
from tests.benchmarks.parts.usage import peak_rss_bytes
from tests.support.waiting import eventually

BATCHES = 1_000
JOBS_EACH = 100
FEWER = 10
"""For a look."""


def measure(bench: Bench) -> Finding:
    jobs = JOBS_EACH if max(bench.rows) >= BATCHES * JOBS_EACH else FEWER
    with jobspool(bench) as service:
        with held(service):
            paths = [service.submit([NOOP] * jobs) for _ in range(BATCHES)]
            status_ms, list_ms = asked(service, paths[0]), asked(service, "/v1/batches")
        many = BATCHES * jobs / _emptied_s(service)
        assert all(service.get(path)["status"] == "completed" for path in paths)
        with held(service):
            service.stream(lines(BATCHES * jobs))
        one = BATCHES * jobs / _emptied_s(service)
        peak_mb = sum(map(peak_rss_bytes, service.workers())) / 1e6
    bench.say(f"{BATCHES:,} batches: {many:,.0f} jobs/s; one: {one:,.0f} jobs/s")
    title = f"{BATCHES:,} active batches of {jobs} jobs"
    columns = {
        "jobs/s of all": f"{many:,.0f}",
        "jobs/s of one batch of as many": f"{one:,.0f}",
        "status, p50 / p99 ms": "{:.1f} / {:.1f}".format(*status_ms),
        "list of batches, p50 / p99 ms": "{:.1f} / {:.1f}".format(*list_ms),
        "worker's peak memory, MB": f"{peak_mb:,.0f}",
    }
    note = "All were submitted before the first job ran; then they take turns. One round."
    bars = [
        Bar(f"{BATCHES:,} batches", Spread.of([many]), ours=True),
        Bar("one batch of as many jobs", Spread.of([one]), ours=True),
    ]
    return Finding(
        [Table(title, list(columns), [list(columns.values())], [note])],
        [Chart(title, "jobs/s", bars)],
    )


def _emptied_s(service: Jobspool) -> float:
    """Seconds until nothing is queued and nothing runs."""
    begun = perf_counter()

    def empty() -> bool:
        now = service.get("/v1/executor")
        return not now["queued"] and not now["threads"]["busy"]

    eventually(empty, "all have run", timeout_s=TIMEOUT_S, every_s=0.05)
    return perf_counter() - begun
