"""How fast no-op jobs go through: over HTTP with durability on, and beside it the bare parts.

Prints a Markdown table: the median of several rounds, all in one go on one machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from tests.support.server import Server

Bench = Callable[[int], float]


def bare_pool(count: int) -> float:
    """The lesson's own: a ThreadPoolExecutor in one process. Loses all at its end."""
    begun = perf_counter()
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(lambda: None) for _ in range(count)]
        for future in futures:
            future.result()
    return perf_counter() - begun


def commit_each(count: int) -> float:
    """What durability costs by hand: two synced SQLite commits a job (claimed, ended)."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "jobs.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO jobs VALUES (?, 'queued')", [(n,) for n in range(count)]
        )
        connection.execute("COMMIT")
        begun = perf_counter()
        for n in range(count):
            connection.execute("UPDATE jobs SET state = 'running' WHERE id = ?", (n,))
            connection.execute("UPDATE jobs SET state = 'succeeded' WHERE id = ?", (n,))
        elapsed = perf_counter() - begun
        connection.close()
    return elapsed


def jobspool(workers: int) -> Bench:
    """From POST to completed, over HTTP, with the defaults."""

    def run(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(Path(folder), workers=workers).start()
            try:
                body = json.dumps({"jobs": [{"type": "numbers", "params": {"count": 1}}] * count})
                headers = {"Content-Type": "application/json"}
                begun = perf_counter()
                answer = server.session.post(f"{server.url}/v1/batches", data=body, headers=headers)
                path = answer.headers["Location"]
                while server.get(f"{path}?wait=60")["status"] != "completed":
                    pass
                return perf_counter() - begun
            finally:
                server.close()

    return run


PEERS: dict[str, tuple[Bench, str]] = {
    "jobspool over HTTP, 1 worker": (jobspool(1), "yes"),
    "jobspool over HTTP, 2 workers": (jobspool(2), "yes"),
    "ThreadPoolExecutor(16) in one process": (bare_pool, "no"),
    "SQLite by hand, two commits a job": (commit_each, "yes"),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    times: dict[str, list[float]] = {name: [] for name in PEERS}
    for _ in range(chosen.rounds):
        for name, (bench, _durable) in PEERS.items():
            times[name].append(bench(chosen.jobs))
    rounds = f"median of {chosen.rounds} rounds, Python {platform.python_version()}"
    print(f"{chosen.jobs} no-op jobs, {rounds}\n")
    print("| | jobs/s | range | durable |\n|---|---:|---:|---|")
    for name, (_bench, durable) in PEERS.items():
        rates = sorted(chosen.jobs / seconds for seconds in times[name])
        middle = statistics.median(rates)
        print(f"| {name} | {middle:,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} | {durable} |")


if __name__ == "__main__":
    main()
