"""Huey on SQLite, a file instead of a server."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic_ns

from huey import SqliteHuey

huey = SqliteHuey("bench", filename=str(Path(os.environ["BENCH_FOLDER"]) / "huey.db"), fsync=True)


@huey.task()
def noop() -> int:
    return monotonic_ns()


def run(count: int) -> list[int]:
    results = [noop() for _ in range(count)]
    return [result.get(blocking=True, preserve=True, max_delay=0.02) for result in results]
