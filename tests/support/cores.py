"""For tests of which cores threads run on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

ALL = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

needs_cores = pytest.mark.skipif(len(ALL) < 2, reason="needs Linux and two cores")


def tasks_of(pid: int | str) -> list[int]:
    return [int(folder.name) for folder in Path(f"/proc/{pid}/task").iterdir()]


def free_all_threads() -> None:
    """Give those of this process all cores again."""
    for task in tasks_of("self"):
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(task, ALL)
