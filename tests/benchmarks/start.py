"""start: how soon a job begins that is submitted to an idle service, beside every peer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from time import monotonic_ns, perf_counter, sleep

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import (
    Bar,
    Chart,
    Finding,
    Goal,
    NotMeasured,
    Spread,
    Table,
    percentile,
)
from tests.benchmarks.load.caller import Caller
from tests.benchmarks.load.request import request
from tests.benchmarks.parts.moment import MOMENT
from tests.benchmarks.parts.ours import jobspool
from tests.benchmarks.peers.roster import PEERS, Peer
from tests.benchmarks.peers.running import running

POOL = "**jobspool**: from POST to the job's first line, on the shared pool"
DEDICATED = "**jobspool**: the same, on a thread of its own (`dedicated`)"
EXECUTORS = {POOL: "pool", DEDICATED: "dedicated"}

ONLY_PARTS = frozenset({"sqlite"})
"""No one waits for work in it."""
REST_S = 0.02
"""Before and after each, so that the service has nothing else to do."""
WANTED_MS = 5


def measure(bench: Bench) -> Finding:
    finding = Finding()
    rounds: dict[str, list[list[float]]] = defaultdict(list)
    peers = {peer.title: peer for peer in PEERS if peer.module not in ONLY_PARTS}
    for n, name in bench.in_turn([*EXECUTORS, *peers]):
        if name in finding.absent or (n > 1 and name in peers):
            continue  # the peers wait for their polls: once is enough
        with excused(finding.absent, name):
            if name in peers:
                found = list(_of_peer(bench, peers[name]))
            else:
                found = list(_ours(bench, EXECUTORS[name]))
            if found:
                rounds[name].append(found)
                bench.say(f"round {n}: {name}: p50 {percentile(found, 50):.1f} ms")
    finding.tables.append(_table(bench, rounds))
    title = "From submit to the job's start, idle: p50"
    bars = [Bar(n.replace("**", "").replace("`", ""), _p(f, 50), n in EXECUTORS)
            for n, f in rounds.items()]  # fmt: skip
    finding.charts.append(Chart(title, "ms", bars))
    finding.goals += _goals(rounds)
    return finding


def _ours(bench: Bench, executor: str) -> Iterator[float]:
    """Milliseconds from before the POST is sent until the job runs."""
    post = request("POST", "/v1/batches", json.dumps({"executor": executor, "jobs": [MOMENT]}))
    with jobspool(bench, moments=True) as service, Caller(service.port) as caller:
        until = perf_counter() + bench.seconds
        while perf_counter() < until:
            sleep(REST_S)
            begun_ns = monotonic_ns()
            answer = caller.ask(post)
            assert answer.status == 202, answer
            sleep(REST_S)  # to ask at once would be one more thing to do for the service
            path = json.loads(answer.body)["links"]["self"]
            service.completed(path)
            yield (service.results(path)[0] - begun_ns) / 1e6


def _of_peer(bench: Bench, peer: Peer) -> Iterator[float]:
    with running(bench, peer) as ready:
        until = perf_counter() + bench.seconds / 2
        while perf_counter() < until:
            sleep(REST_S)
            start_ns = ready.run(1).start_ns
            if start_ns is None:
                raise NotMeasured("it keeps no results, so nothing tells when a job ran")
            yield start_ns / 1e6


def _p(rounds: list[list[float]], percent: float) -> Spread:
    return Spread.of(percentile(found, percent) for found in rounds)


def _table(bench: Bench, rounds: dict[str, list[list[float]]]) -> Table:
    rows = [
        [
            name,
            _p(found, 50).shown(1),
            _p(found, 99).shown(1),
            f"{sum(map(len, found)):,}",
        ]
        for name, found in rounds.items()
    ]
    return Table(
        "From submit to the start of a job, on an idle service",
        ["", "p50 ms", "p99 ms", "jobs"],
        rows,
        [
            "One job at a time; it tells when it runs, on the clock by which its client measures."
            f" For {bench.seconds:g} s in each round; one round of half of that for the others."
            f" Rounds: {bench.rounds}."
        ],
    )


def _goals(rounds: dict[str, list[list[float]]]) -> Iterator[Goal]:
    for name, executor in EXECUTORS.items():
        if name in rounds:
            p50, p99 = _p(rounds[name], 50).median, _p(rounds[name], 99).median
            yield Goal(
                f"a job starts within {WANTED_MS} ms of its POST, p50, {executor}",
                f"{p50:.1f} ms (p99 {p99:.1f} ms)",
                p50 <= WANTED_MS,
            )
