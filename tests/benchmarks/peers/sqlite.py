"""SQLite by hand, one thread: a job is claimed in one synced commit and ended in another.

``BENCH_CHUNK``: so many jobs share those two commits.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from time import monotonic_ns

CHUNK = int(os.environ.get("BENCH_CHUNK", "1"))

connection = sqlite3.connect(Path(os.environ["BENCH_FOLDER"]) / "jobs.db", isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA synchronous = FULL")
connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, result INTEGER)")


def noop() -> int:
    return monotonic_ns()


def run(count: int) -> list[int]:
    last = connection.execute("SELECT coalesce(max(id), 0) FROM jobs").fetchone()[0]
    keys = [last + n for n in range(1, count + 1)]
    _committed("INSERT INTO jobs (id, state) VALUES (?, 'queued')", [(key,) for key in keys])
    for first in range(0, count, CHUNK):
        some = keys[first : first + CHUNK]
        _committed("UPDATE jobs SET state = 'running' WHERE id = ?", [(key,) for key in some])
        ended = [(noop(), key) for key in some]
        _committed("UPDATE jobs SET state = 'succeeded', result = ? WHERE id = ?", ended)
    found = connection.execute("SELECT result FROM jobs WHERE id > ? ORDER BY id", (last,))
    return [result for (result,) in found]


def _committed(statement: str, rows: list[tuple[int, ...]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(statement, rows)
    connection.execute("COMMIT")
