"""Who is alive, by the kernel's word: each process keeps a file locked until it dies.

A lock goes with its process at once, whatever killed it, and a pid that was given to another
process or a clock that was set can't fool it. What a lock can't show is a frozen process;
for that there is the heartbeat.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from uuid import uuid4


class LifeLock:
    """This process's lock file. Held from ``acquire`` to ``release`` or death."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{uuid4().hex}.lock"
        self._file: int | None = None

    @property
    def name(self) -> str:
        return self._path.name

    def acquire(self) -> int:
        """Returns the file that holds the lock: a child that inherits it holds it too."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._file

    def release(self) -> None:
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


def is_dead(folder: Path, name: str) -> bool:
    """Whether the process that made this lock file is gone."""
    try:
        file = os.open(folder / name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(file)


def remove_lock(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
