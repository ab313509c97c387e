"""What processes use, as /proc tells."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            found += family(int(child))
    return found


def begun(pid: int) -> str:
    """When a process began, in the kernel's ticks; tells it from a later one of the same id."""
    return _stat(pid)[19]


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time that they used, with that of children that have ended."""
    return sum(_ticks(pid) for pid in pids) / TICKS


def peak_rss_bytes(pid: int) -> int:
    """The most memory that a process ever had."""
    return _kilobytes(pid, "VmHWM") * 1024


def rss_bytes(pid: int) -> int:
    return _kilobytes(pid, "VmRSS") * 1024


def _ticks(pid: int) -> int:
    return sum(int(field) for field in _stat(pid)[11:15])  # utime, stime, and the children's


def _stat(pid: int) -> list[str]:
    """What stands behind the name: the state comes first."""
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split() or ["0"] * 50


def _kilobytes(pid: int, name: str) -> int:
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _read(path: Path) -> str:
    """Nothing of a process that is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
