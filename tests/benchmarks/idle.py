"""idle: what a service costs that has nothing to do, beside every peer's workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from time import perf_counter, sleep

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import Bar, Chart, Finding, Goal, Spread, Table
from tests.benchmarks.parts.ours import jobspool
from tests.benchmarks.parts.usage import cpu_s, rss_bytes
from tests.benchmarks.peers.roster import PEERS
from tests.benchmarks.peers.running import running

OURS = "**jobspool**"
SETTLE_S = 2
WANTED_PERCENT = 1.0


def measure(bench: Bench) -> Finding:
    finding = Finding()
    percents: dict[str, list[float]] = defaultdict(list)
    megabytes: dict[str, list[float]] = defaultdict(list)
    peers = {peer.title: peer for peer in PEERS if peer.workers}
    for n, name in bench.in_turn([OURS, *peers]):
        if name in finding.absent or (n > 1 and name in peers):
            continue
        with excused(finding.absent, name):
            if name == OURS:
                with jobspool(bench) as service:
                    percent, mb = _watched(service.processes, bench.idle_s)
            else:
                with running(bench, peers[name]) as ready:
                    percent, mb = _watched(ready.pids, bench.idle_s)
            percents[name].append(percent)
            megabytes[name].append(mb)
            bench.say(f"round {n}: {name}: {percent:.2f} % of a core, {mb:.0f} MB")
    spreads = {name: Spread.of(found) for name, found in percents.items()}
    rows = [[n, s.shown(2), Spread.of(megabytes[n]).shown()] for n, s in spreads.items()]
    finding.tables.append(
        Table(
            "Idle",
            ["", "% of a core", "MB of memory (RSS)"],
            rows,
            [
                f"Over {bench.idle_s:g} s, after it has done some jobs; with all its processes and"
                f" the server behind it. Rounds: {bench.rounds} for jobspool, one for the others."
            ],
        )
    )
    bars = [Bar(name.replace("**", ""), spread, name == OURS) for name, spread in spreads.items()]
    finding.charts.append(Chart("Idle", "% of a core", bars))
    if OURS in spreads:
        percent = spreads[OURS].median
        finding.goals.append(
            Goal(
                f"an idle service takes less than {WANTED_PERCENT:g} % of a core",
                f"{percent:.2f} %",
                percent < WANTED_PERCENT,
            )
        )
    return finding


def _watched(pids: Callable[[], list[int]], seconds: float) -> tuple[float, float]:
    """Percent of a core, and megabytes."""
    sleep(SETTLE_S)
    begun, before = perf_counter(), cpu_s(pids())
    sleep(seconds)
    percent = (cpu_s(pids()) - before) / (perf_counter() - begun) * 100
    return percent, sum(map(rss_bytes, pids())) / 1e6
