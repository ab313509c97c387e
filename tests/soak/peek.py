"""Looking at the database and the processes from outside, as an operator would."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.server import Server


class Usage(NamedTuple):
    """Of one process."""

    rss_mib: float
    threads: int
    fds: int


class Peek:
    """Only looks: it opens the file anew each time, read-only, and never for long."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._file = server.folder / "data" / "jobspool.db"

    def _rows(self, statement: str, *binds: Any) -> list[Any]:
        """None at all if there is nothing to be read just now: the service is starting, say."""
        try:
            with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
                return connection.execute(statement, binds).fetchall()
        except sqlite3.OperationalError:
            return []

    def nodes(self) -> dict[int, int]:
        """Processes that run jobs, or have died and wait for rescue: the node's key by its pid."""
        return dict(self._rows("SELECT pid, key FROM nodes"))

    def running(self) -> dict[int, int]:
        """How many jobs run, by process."""
        return dict(
            self._rows(
                "SELECT n.pid, count(*) FROM jobs j JOIN nodes n ON n.key = j.owner"
                " WHERE j.state = 'running' GROUP BY n.pid"
            )
        )

    def ended(self) -> int:
        """How many jobs have ended, of the batches that are there."""
        ends = self._rows("SELECT sum(finish_seq) FROM batches")
        return int(ends[0][0] or 0) if ends else 0

    def queued(self) -> int:
        rows = self._rows("SELECT value FROM gauges WHERE name = 'queued'")
        return sum(value for (value,) in rows)

    def wal_mib(self) -> float:
        try:
            return self._file.with_name("jobspool.db-wal").stat().st_size / (1 << 20)
        except FileNotFoundError:
            return 0.0

    def file_mib(self) -> float:
        return self._file.stat().st_size / (1 << 20)

    def integrity(self) -> str:
        """``ok``, or what is wrong with the file."""
        with closing(sqlite3.connect(self._file)) as connection:
            return "; ".join(row[0] for row in connection.execute("PRAGMA integrity_check"))

    def usage(self, pids: Iterable[int]) -> dict[int, Usage]:
        """Of those of the processes that live."""
        found = {}
        for pid in pids:
            try:
                found[pid] = _usage(Path("/proc") / str(pid))
            except (OSError, IndexError):
                pass
        return found


def _usage(folder: Path) -> Usage:
    status = dict(
        line.split(":\t", 1)
        for line in (folder / "status").read_text().splitlines()
        if ":\t" in line
    )
    rss_kib = int(status["VmRSS"].split()[0])
    return Usage(rss_kib / 1024, int(status["Threads"]), sum(1 for _ in (folder / "fd").iterdir()))
