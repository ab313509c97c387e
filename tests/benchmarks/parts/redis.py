"""A Redis of our own, empty, from Debian's redis-server."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType

from tests.benchmarks.parts.program import Program
from tests.support.server import free_port
from tests.support.waiting import eventually


class Redis:
    """Appends every write to a file, which is synced as ``fsync`` says: always, everysec, no."""

    def __init__(self, folder: Path, fsync: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "appendonly": "yes",
            "appendfsync": fsync,
            "save": "",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.program = Program(["redis-server", *flags], folder)

    def __enter__(self) -> Redis:
        self.program.__enter__()
        eventually(self._answers, "Redis answers")
        return self

    def _answers(self) -> bool:
        self.program.check()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100) == b"+PONG\r\n"
        except OSError:
            return False

    @property
    def environment(self) -> dict[str, str]:
        return {"BENCH_REDIS": self.url}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.program.__exit__(kind, error, trace)
