"""workers: the same no-op jobs with one, two and four worker processes."""

from __future__ import annotations

from collections import defaultdict

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import Bar, Chart, Finding, Spread, Table
from tests.benchmarks.noop import GOAL_SIZE, timed
from tests.benchmarks.parts.ours import NOOP, jobspool

WORKERS = (1, 2, 4)


def measure(bench: Bench) -> Finding:
    finding = Finding()
    size = min(GOAL_SIZE, max(bench.sizes))
    rates: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for n, name in bench.in_turn([f"jobspool, workers={workers}" for workers in WORKERS]):
        with (
            excused(finding.absent, name),
            jobspool(bench, workers=int(name.rpartition("=")[2])) as service,
        ):
            completed, read = timed(service, NOOP, size)
            rates[name].append((size / completed, size / read))
            bench.say(f"round {n}: {name}: {size / completed:,.0f} jobs/s")
    completed_rates = {name: Spread.of(done for done, _ in found) for name, found in rates.items()}
    rows = [
        [name, completed_rates[name].shown(), Spread.of(read for _, read in found).shown()]
        for name, found in rates.items()
    ]
    finding.tables.append(
        Table(
            f"{size:,} no-op jobs by the number of workers",
            ["", "jobs/s until `completed`", "jobs/s with every result read"],
            rows,
            [f"Rounds: {bench.rounds}; their median (and range)."],
        )
    )
    bars = [Bar(name, spread, ours=True) for name, spread in completed_rates.items()]
    finding.charts.append(Chart(f"{size:,} no-op jobs until completed", "jobs/s", bars))
    return finding
