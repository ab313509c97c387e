"""How much may be claimed: the executors' room, less what has been asked for and not yet begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from threading import Lock

from service.engine.executors import JobExecutor
from service.model import Capacity, Executor
from service.store.claims import Claim


class Appetite:
    """Counts what is under way, so that no place is claimed for twice. For every thread."""

    def __init__(self, executors: Mapping[Executor, JobExecutor]) -> None:
        self._executors = executors
        # inside it only an executor's own lock is taken, to read a number
        self._lock = Lock()
        self._promised: Counter[Executor] = Counter()  # guarded by _lock
        self._sated: set[Executor] = set()  # for which a claim left nothing; guarded by _lock

    def ask(self, kinds: Collection[Executor]) -> Capacity | None:
        """What may be claimed for these now, None for nothing. It is promised from now on, until
        ``answered`` and, as far as it was got, until each shift has ``begun``."""
        with self._lock:
            rooms = {kind: e.room - self._promised[kind] for kind, e in self._executors.items()}
            asked = {kind: max(0, n) if kind in kinds else 0 for kind, n in rooms.items()}
            self._promised.update(asked)
        return Capacity(**asked) if any(asked.values()) else None

    def answered(self, asked: Capacity, claim: Claim | None) -> None:
        """What was got for it; None if the store refused. Call it in the order of the commits."""
        got = Counter(shift.batch.executor for shift in claim.shifts) if claim else Counter()
        with self._lock:
            for kind, places in zip(Executor, asked, strict=True):
                self._promised[kind] -= places - got[kind]
                if claim and got[kind] < places:
                    self._sated.add(kind)

    def begun(self, kind: Executor) -> None:
        """A shift that was got was submitted, or could not be."""
        with self._lock:
            self._promised[kind] -= 1

    def whet(self, kinds: Collection[Executor]) -> None:
        """There may be something to claim for these."""
        with self._lock:
            self._sated.difference_update(kinds)

    def sated(self, kind: Executor) -> bool:
        """Whether a place that becomes free finds nothing: the last claim left no job but those
        that waited for more than a place, and there has been no news since."""
        with self._lock:
            return kind in self._sated
