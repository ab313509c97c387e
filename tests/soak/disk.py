"""A disk that gets full, and has room again."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from io import FileIO
from pathlib import Path
from typing import Protocol

from tests.support.server import Server

SIZE_MIB = 512


class Disk(Protocol):
    def full(self) -> AbstractContextManager[None]:
        """A context in which nothing more can be written."""

    def remove(self) -> None: ...


class SmallDisk:
    """The data directory on a file system of its own, which ballast fills. Needs root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        size = f"size={SIZE_MIB}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "soak", str(folder)], check=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        ballast = self._folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                self._empty_the_wal()
                _fill(file)
            yield
        finally:
            ballast.unlink()

    def _empty_the_wal(self) -> None:
        """What it has of room from earlier would last for minutes."""
        with closing(sqlite3.connect(self._folder / "jobspool.db", timeout=30)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove(self) -> None:
        subprocess.run(["umount", str(self._folder)], check=True)


class LimitedFiles:
    """No file of the service may grow: RLIMIT_FSIZE, set from outside on all its processes."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @contextmanager
    def full(self) -> Iterator[None]:
        # a database of any age is larger than that; the limit is on where a write ends
        self._limit(4096)
        try:
            yield
        finally:
            self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        # the master first: what it forks from now on has it from the master
        for pid in (self._server.process.pid, *self._server.workers()):
            try:
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
            except ProcessLookupError:
                pass

    def remove(self) -> None:
        pass


def _fill(file: FileIO) -> None:
    for size in (1 << 20, 4096, 1):
        try:
            while file.write(bytes(size)):
                pass
        except OSError:  # no space is left for so much
            pass


def disk_for(kind: str, server: Server) -> Disk:
    if kind == "tmpfs" and os.getuid() == 0:
        return SmallDisk(server.folder / "data")
    return LimitedFiles(server)
