"""Short jobs in a row on one thread.

A commit and a thread's wake-up cost as much as hundreds of short jobs. So a place on a thread
may be claimed for a few jobs at once, if the batch's jobs have proved so short that the last of
them begins within milliseconds. If one turns out long, the others go back to the queue.
"""

from __future__ import annotations

from collections import deque
from math import inf
from threading import Lock
from time import monotonic

from service.engine.executors import JobExecutor, Place
from service.engine.registry import LiveJob
from service.model import Executor, PrintLock

QUICK_S = 0.002
"""Jobs that take longer each are not put into shifts."""

SHIFT_S = 0.008
"""How much work a shift may hold, by the pace of its batch."""

LONGEST = 32
"""Most jobs of a shift."""

RECALL_S = 0.05
"""A shift whose thread takes no job for so long gives back those that have not begun."""


class LiveShift:
    """A shift on its thread. The thread takes jobs; the dispatcher may recall the rest."""

    def __init__(self, place: Place, executor: JobExecutor, members: list[LiveJob]) -> None:
        self.place = place
        self.executor = executor
        self.members = members
        self.batch = members[0].job.batch
        self._taken_at = monotonic()  # the last job; its thread writes, the dispatcher reads
        # its thread takes from the left, others recall from the right; deque's own atomicity
        self._waiting = deque(members)

    def take(self) -> LiveJob | None:
        """The next job to run; None at the end of the shift."""
        self._taken_at = monotonic()
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def recall(self) -> list[LiveJob]:
        """Take back the jobs that have not begun."""
        recalled = []
        while True:
            try:
                recalled.append(self._waiting.pop())
            except IndexError:
                return recalled

    @property
    def in_the_way(self) -> bool:
        """Whether others may have waited for these jobs to end, not only for their place."""
        batch = self.batch
        limited = batch.max_workers or batch.executor is Executor.SEQUENTIAL
        return bool(
            limited or batch.lock is PrintLock.JOB or any(one.job.host for one in self.members)
        )

    @property
    def stalled(self) -> bool:
        return bool(self._waiting) and monotonic() > self._taken_at + RECALL_S


class Pace:
    """How long the jobs of a batch take, by the latest shifts.

    By the mean of a shift, not its longest job: a thread that has to wait for Python's lock
    makes one job look long, and one that really is has the others recalled.
    """

    MOST_BATCHES = 1_000

    def __init__(self) -> None:
        self._lock = Lock()
        self._seconds: dict[int, float] = {}  # by batch key; job threads write; guarded by _lock

    def note(self, batch_key: int, seconds: float) -> None:
        """``seconds`` a job. Believe slow ones at once, fast ones slowly: holding a job back
        costs more."""
        with self._lock:
            before = self._seconds.get(batch_key, seconds)
            if len(self._seconds) >= self.MOST_BATCHES:
                self._seconds.clear()
            self._seconds[batch_key] = max(seconds, 0.9 * before + 0.1 * seconds)

    def length(self, batch_key: int) -> int:
        """How many jobs of the batch a shift may hold."""
        with self._lock:
            seconds = self._seconds.get(batch_key, inf)
        return 1 if seconds > QUICK_S else min(LONGEST, int(SHIFT_S / max(seconds, 1e-6)))
