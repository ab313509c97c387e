"""Which cores the threads of this process run on.

Python's lock lets one thread run at a time, and the kernel spreads threads over all cores. So the
lock goes to and fro between cores, and at each step one of them wakes for it, often in vain (D.
Beazley, "Understanding the Python GIL", 2010). Threads that keep to one core scrape a fifth more
pages. Who computes without the lock, and processes that are started from here, use all cores.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, process_time
from typing import NamedTuple

LOOK_S = 1.0
"""How often a process looks whether its core is crowded."""

CROWDED = 0.25
"""Share of its core that other programs take, from which it looks for a calmer one."""

ODDS = 0.5
"""That it moves to one. Services that came to share a core would else leave it together, to meet
again on the next, and so on."""

_TICKS = os.sysconf("SC_CLK_TCK")

log = logging.getLogger(__name__)


class Usage(NamedTuple):
    """How long cores have been busy until a moment, without what runs at low priority."""

    at_s: float
    own_s: float
    busy_s: dict[int, float]


class Cores:
    """Those that this process may use. Keeps to none until told; does nothing but on Linux."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._own: list[int] = []  # on which of them it may keep to one; set at the start
        # all but the start: the keeper's thread alone writes, any thread reads
        self._home: int | None = None
        self._usage: Usage | None = None
        self._thread = threading.local()  # .core: where its jobs run, None for all cores

    def keep_to_one(self, processes: int = 1, place: int = 0) -> None:
        """From now on the threads of this process, and those that they start, share a core.

        Not where there is but one, or no lock of Python's; nor if ``processes``, as many as keep
        to one each, are more than the cores: the kernel shares those out better. Those of
        different ``place`` (0 for the first of them) never meet on a core.
        """
        locked = getattr(sys, "_is_gil_enabled", lambda: True)()
        enough = len(self._allowed) >= max(2, processes)
        if locked and enough and self._stat.exists():
            self._own = sorted(self._allowed)[place % processes :: processes]
            # another service begins elsewhere, if there is more than one
            self._move_to(self._own[os.getpid() % len(self._own)])

    def look(self) -> None:
        """Move to a calmer core if others crowd this one. Call it again and again."""
        before = self._usage
        if self._home is None or (before and monotonic() < before.at_s + LOOK_S):
            return
        now = self._usage = self._used()
        if before is None:
            return
        took_s = now.at_s - before.at_s
        shares = {
            core: (now.busy_s[core] - before.busy_s.get(core, 0.0)) / took_s
            for core in now.busy_s.keys() & self._own
        }
        others = shares.pop(self._home, 0.0) - (now.own_s - before.own_s) / took_s
        calmest = min(shares, key=lambda core: shares[core], default=self._home)
        calmer = others > CROWDED and shares.get(calmest, 1.0) < others / 2
        if calmer and random.random() < ODDS:  # noqa: S311
            log.info("moved to a calmer core", extra={"from_core": self._home, "core": calmest})
            self._move_to(calmest)

    def use(self, *, one: bool) -> None:
        """Let the calling thread keep to the one core, or run on all of them."""
        core = self._home if one else None
        if self._home is not None and getattr(self._thread, "core", -1) != core:
            _put(0, self._allowed if core is None else {core})
            self._thread.core = core

    @contextmanager
    def all_for_a_child(self) -> Iterator[None]:
        """A process that the calling thread starts meanwhile may use all cores."""
        if self._home is None:
            yield
            return
        mine = os.sched_getaffinity(0)
        _put(0, self._allowed)
        try:
            yield
        finally:
            _put(0, mine)

    def _move_to(self, core: int) -> None:
        first, self._home = self._home is None, core
        for task in [int(folder.name) for folder in Path("/proc/self/task").iterdir()]:
            # of those that run already, the ones with all cores were given them by ``use``
            if first or _is_put(task):
                _put(task, {core})

    def _used(self) -> Usage:
        busy_s: dict[int, float] = {}
        for line in self._stat.read_text().splitlines():
            name, *ticks = line.split()
            if name.startswith("cpu") and name != "cpu":
                user, _nice, system, _idle, _iowait, irq, softirq = map(int, ticks[:7])
                busy_s[int(name[3:])] = (user + system + irq + softirq) / _TICKS
        return Usage(monotonic(), process_time(), busy_s)


def _put(task: int, cores: set[int]) -> None:
    """Nothing of the service depends on it: a core may be taken away meanwhile, or a sandbox
    forbid it."""
    with suppress(OSError):
        os.sched_setaffinity(task, cores)


def _is_put(task: int) -> bool:
    try:
        return len(os.sched_getaffinity(task)) == 1
    except ProcessLookupError:
        return False
