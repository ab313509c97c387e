"""small: one job a POST. What a request costs, beside bare Flask, and Flask with one commit."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import Bar, Chart, Finding, Goal, Spread, Table
from tests.benchmarks.load.request import request
from tests.benchmarks.load.storm import Storm, crowded, storm
from tests.benchmarks.parts.gunicorn import bare_flask
from tests.benchmarks.parts.ours import NOOP, jobspool

OURS = "**jobspool**: checked, on disk, and then run"
COMMIT = "Flask, one synced SQLite commit a request"
BARE = "Flask, nothing stored"
PATHS = {OURS: "/v1/batches", COMMIT: "/commit", BARE: "/plain"}

CLIENTS = (1, 50)
WARM_UP_S = 1.0
WANTED_RATIO = 3

Storms = dict[tuple[str, int], list[Storm]]


def measure(bench: Bench) -> Finding:
    finding = Finding()
    storms: Storms = defaultdict(list)
    for n, name in bench.in_turn(PATHS):
        with excused(finding.absent, name), _server(bench, name) as port:
            post = request("POST", PATHS[name], json.dumps({"jobs": [NOOP]}))
            for clients in CLIENTS:
                storm(port, post, clients=clients, seconds=WARM_UP_S, status=202)
                found = storm(port, post, clients=clients, seconds=bench.seconds, status=202)
                storms[name, clients].append(found)
                bench.say(
                    f"round {n}: {name}, {crowded(clients)}: {found.rate:,.0f} requests/s,"
                    f" p99 {found.ms(99):.1f} ms"
                )
    finding.tables.append(_table(bench, storms))
    finding.charts += _charts(storms)
    finding.goals += _goals(storms)
    return finding


@contextmanager
def _server(bench: Bench, name: str) -> Iterator[int]:
    if name == OURS:
        with jobspool(bench) as service:
            yield service.port
    else:
        with bare_flask(bench) as port:
            yield port


def _table(bench: Bench, storms: Storms) -> Table:
    rows = [
        [
            name,
            str(clients),
            Spread.of(storm.rate for storm in found).shown(),
            Spread.of(storm.ms(50) for storm in found).shown(1),
            Spread.of(storm.ms(99) for storm in found).shown(1),
            Spread.of(storm.client_cores for storm in found).shown(2),
        ]
        for (name, clients), found in sorted(storms.items(), key=lambda item: item[0][1])
    ]
    return Table(
        "One job a POST",
        ["", "clients", "requests/s", "202, p50 ms", "202, p99 ms", "cores the clients took"],
        rows,
        [
            f"For {bench.seconds:g} s each, on kept connections, each client asking again as soon"
            f" as it is answered. Rounds: {bench.rounds}; their median (and range). All behind the"
            " same gunicorn with one worker of 16 threads. The jobs that jobspool accepts run at"
            " the same time, on the same cores."
        ],
    )


def _charts(storms: Storms) -> Iterator[Chart]:
    for clients in CLIENTS:
        bars = [
            Bar(name.replace("**", ""), Spread.of(s.ms(99) for s in found), name == OURS)
            for (name, number), found in storms.items()
            if number == clients
        ]
        yield Chart(f"One job a POST, {crowded(clients)}: p99 of the 202", "ms", bars)


def _goals(storms: Storms) -> Iterator[Goal]:
    for clients in reversed(CLIENTS):
        if (OURS, clients) in storms and (COMMIT, clients) in storms:
            ours = Spread.of(storm.ms(99) for storm in storms[OURS, clients]).median
            one = Spread.of(storm.ms(99) for storm in storms[COMMIT, clients]).median
            yield Goal(
                f"a single POST's p99 within {WANTED_RATIO} times Flask with one commit,"
                f" {crowded(clients)}",
                f"{ours:.1f} ms, {ours / one:.1f} times {one:.1f} ms",
                ours <= WANTED_RATIO * one,
            )
