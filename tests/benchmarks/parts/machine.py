"""What it was measured on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from pathlib import Path

from tests.benchmarks.bench import Bench

BUSY = 0.3
"""Load of each core before the run from which its numbers are not to be trusted."""


def machine(bench: Bench) -> list[str]:
    """A few lines of Markdown."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    gib = int(memory[1]) / (1 << 20) if memory else 0
    cores = len(os.sched_getaffinity(0))
    return [
        f"- {cores} cores ({_model()}), {gib:.0f} GiB, Linux {platform.release()}; client, "
        "service and peers share them",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"- data on {bench.scratch.described()}",
        *_disturbed(cores),
    ]


def _model() -> str:
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _disturbed(cores: int) -> list[str]:
    load = os.getloadavg()[0]
    if load < BUSY * cores:
        return []
    return [f"- **the machine was busy before the run (load {load:.1f}): compare ratios only**"]
