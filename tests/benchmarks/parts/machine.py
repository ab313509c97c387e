"""What it was measured on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

from service import __version__
from tests.benchmarks.bench import ROOT, Bench
from tests.benchmarks.findings import NotMeasured
from tests.benchmarks.parts.postgres import binary

REQUIREMENTS = ROOT / "tests" / "benchmarks" / "requirements.txt"

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
        f"- jobspool {__version__}{_commit()}; beside it {', '.join(_versions(bench))}",
        *_disturbed(cores),
    ]


def _model() -> str:
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _commit() -> str:
    found = _said("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    return f" ({found})" if found else ""


def _versions(bench: Bench) -> Iterator[str]:
    """Of what the peers' environment was asked for, and of the servers."""
    freeze = (str(bench.peers_python), "-m", "pip", "--disable-pip-version-check", "freeze")
    wanted = set(re.findall(r"^[a-z-]+", REQUIREMENTS.read_text(), re.MULTILINE))
    for line in _said(*freeze).splitlines():
        name, _, version = line.lower().partition("==")
        if name in wanted:
            yield f"{name} {version}"
    redis = re.search(r"v=(\S+)", _said("redis-server", "--version"))
    yield f"Redis {redis[1] if redis else 'missing'}"
    try:
        yield f"PostgreSQL {_said(binary('postgres'), '--version').split()[2]}"
    except NotMeasured:
        yield "PostgreSQL missing"


def _said(*command: str) -> str:
    """What a program says of itself; nothing if there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _disturbed(cores: int) -> list[str]:
    load = os.getloadavg()[0]
    if load < BUSY * cores:
        return []
    return [f"- **the machine was busy before the run (load {load:.1f}): compare ratios only**"]
