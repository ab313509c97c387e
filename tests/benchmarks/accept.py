"""accept: the 202 for a batch of 10,000 jobs, beside checking and inserting them by hand."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter

from service.api.submission import JobIn
from service.jobs.numbers import NumbersParams
from tests.benchmarks.bench import Bench
from tests.benchmarks.findings import Bar, Chart, Finding, Goal, Spread, Table
from tests.benchmarks.parts.ours import jobspool

JOBS = 10_000
TIMES = 5
"""In each round, by turns."""
WANTED_RATIO = 3

OURS = "**jobspool**: from POST to 202"
BY_HAND = "by hand in one process: parsed, checked by the same models, inserted, one synced commit"

CHECK_JOBS = TypeAdapter(list[JobIn])
CHECK_PARAMS = TypeAdapter(list[NumbersParams])


def measure(bench: Bench) -> Finding:
    jobs = [
        {"type": "numbers", "params": {"name": f"job-{n}", "start": n, "count": 1}}
        for n in range(JOBS)
    ]
    body = json.dumps({"jobs": jobs})
    took: dict[str, list[float]] = {OURS: [], BY_HAND: []}
    for n in range(1, bench.rounds + 1):
        with jobspool(bench) as service, ByHand(bench.scratch.folder("by-hand")) as by_hand:
            for _ in range(TIMES):
                took[BY_HAND].append(by_hand.accept(body))
                begun = perf_counter()
                path = service.post(body)
                took[OURS].append(perf_counter() - begun)
                service.completed(path)
        bench.say(f"round {n}: {took[OURS][-1] * 1000:.0f} ms, {took[BY_HAND][-1] * 1000:.0f} ms")
    spreads = {name: Spread.of(s * 1000 for s in found) for name, found in took.items()}
    ours, hand = spreads[OURS].median, spreads[BY_HAND].median
    title = f"A batch of {JOBS:,} jobs, accepted"
    return Finding(
        [
            Table(
                title,
                ["", "ms"],
                [[name, spread.shown()] for name, spread in spreads.items()],
                [f"{bench.rounds * TIMES} times each, by turns; the median (and range)."],
            )
        ],
        [Chart(title, "ms", [Bar(n.replace("**", ""), s, n == OURS) for n, s in spreads.items()])],
        [
            Goal(
                f"202 for {JOBS:,} jobs within {WANTED_RATIO} times checking and inserting by hand",
                f"{ours:,.0f} ms, {ours / hand:.1f} times {hand:,.0f} ms",
                ours <= WANTED_RATIO * hand,
            )
        ],
    )


class ByHand:
    """What anyone would write who only wants them checked and kept."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "jobs.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE jobs (id INTEGER PRIMARY KEY, type TEXT, custom_id TEXT, params TEXT,"
            " state TEXT, timeout_s REAL, max_attempts INTEGER)"
        )

    def accept(self, body: str) -> float:
        """Seconds from the text to the commit."""
        begun = perf_counter()
        jobs = CHECK_JOBS.validate_python(json.loads(body)["jobs"])
        CHECK_PARAMS.validate_python([job.params for job in jobs])
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO jobs (type, custom_id, params, state, timeout_s, max_attempts)"
            " VALUES (?, ?, ?, 'queued', ?, ?)",
            [
                (job.type, job.custom_id, json.dumps(job.params), job.timeout_s, job.max_attempts)
                for job in jobs
            ],
        )
        self._connection.execute("COMMIT")
        return perf_counter() - begun

    def __enter__(self) -> ByHand:
        return self

    def __exit__(self, *_: Any) -> None:
        self._connection.close()
