"""How jobs get their threads: a shared pool, a thread each, or one thread for a whole batch.

One contract, three strategies. Places are counted here, because a ThreadPoolExecutor queues
without limit: a job is claimed only when a place is free or about to be, so no more than that
queues in memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock, Thread
from time import monotonic
from typing import Protocol

from service.model import Shift, index_of

Call = Callable[[], None]

SOON_S = 0.025
"""A place of the pool that will be free by then, as things go, may be claimed for already."""


class Place:
    """A place on a thread, taken by a shift from its submit until it is given back."""

    __slots__ = ("batch_key", "first_index")

    def __init__(self, shift: Shift) -> None:
        self.batch_key = shift.batch.key
        self.first_index = index_of(shift.jobs[0].key)


class JobExecutor(Protocol):
    """What the engine asks of a strategy. The dispatcher submits, job threads return."""

    @property
    def free(self) -> int:
        """Shifts that would find a thread if they were submitted now."""

    @property
    def room(self) -> int:
        """Shifts that may be submitted now: they find a thread, or one that is soon free."""

    def submit(self, place: Place, call: Call) -> Future[None]:
        """Run ``call`` on a thread. Only for as many places as there is ``room``."""

    def give_back(self, place: Place) -> None:
        """The thread is about to return: its place is free again. Safe twice."""

    def replace(self, place: Place) -> None:
        """The thread overstays: make up for its place if the strategy can."""

    def shutdown(self) -> None:
        """Start nothing more; does not wait. Safe twice and before any submit."""


class PoolExecutor:
    """The shared ThreadPoolExecutor.

    To claim is a commit, for which a thread would wait. So shifts may be submitted ahead: as
    many as have ended within SOON_S, since as many will be wanted in as much time.

    A place whose thread overstays moves, for good, to a spare thread. There are never more
    overstaying threads replaced than the pool has places, so threads stay under twice its size.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = Lock()
        self._main = ThreadPoolExecutor(size, thread_name_prefix="pool")  # starts no thread yet
        # a free place is the pool that has the thread for it; guarded by _lock
        self._places: deque[ThreadPoolExecutor] = deque([self._main] * size)
        self._taken: dict[Place, ThreadPoolExecutor] = {}  # guarded by _lock
        self._ahead: deque[tuple[Place, Call]] = deque()  # wait for a place; guarded by _lock
        self._ended: deque[float] = deque(maxlen=size)  # when the last shifts did; as _ahead
        self._overstaying: set[Place] = set()  # guarded by _lock
        self._spares = 0  # made so far: no two threads have one name; guarded by _lock

    @property
    def free(self) -> int:
        return len(self._places)

    @property
    def waiting(self) -> set[Place]:
        """The places of shifts that wait for a thread."""
        with self._lock:
            return {place for place, _ in self._ahead}

    @property
    def room(self) -> int:
        since = monotonic() - SOON_S
        with self._lock:
            soon = len(self._ended) - bisect_left(self._ended, since)
            waiting = len(self._ahead)
            # half of them at a time: one by one they would be a commit each
            return len(self._places) + (soon - waiting if 2 * waiting <= soon else 0)

    def submit(self, place: Place, call: Call) -> Future[None]:
        future, run = _promise(call)
        with self._lock:
            if not self._places:
                self._ahead.append((place, run))
                return future
            pool = self._taken[place] = self._places.popleft()
        pool.submit(run)
        return future

    def give_back(self, place: Place) -> None:
        with self._lock:
            self._overstaying.discard(place)
            if place not in self._taken:
                return
            self._ended.append(monotonic())
            pool = self._taken.pop(place)
            following = self._next(pool)
        if following:
            with suppress(RuntimeError):  # shut down; the engine recalls what has not begun
                pool.submit(following)

    def replace(self, place: Place) -> None:
        with self._lock:
            if place not in self._taken or len(self._overstaying) >= self._size:
                return
            left = self._taken.pop(place)
            self._overstaying.add(place)
            self._spares += 1
            spare = ThreadPoolExecutor(1, thread_name_prefix=f"spare-{self._spares}")
            following = self._next(spare)
        if following:
            spare.submit(following)
        if left is not self._main:
            left.shutdown(wait=False)  # its only thread leaves when the job returns

    def _next(self, pool: ThreadPoolExecutor) -> Call | None:
        """What is to run on the thread of a pool that has become free. Call it with _lock held."""
        if not self._ahead:
            self._places.append(pool)
            return None
        place, call = self._ahead.popleft()
        self._taken[place] = pool
        return call

    def shutdown(self) -> None:
        with self._lock:
            self._ahead.clear()
            pools = {self._main, *self._places, *self._taken.values()}
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)


class DedicatedExecutor:
    """A new thread for each job, named after its place in the batch; capped."""

    def __init__(self, limit: int) -> None:
        self._lock = Lock()
        self._free = limit  # guarded by _lock
        self._taken: set[Place] = set()  # guarded by _lock

    @property
    def free(self) -> int:
        return self._free

    @property
    def room(self) -> int:
        return self._free

    def submit(self, place: Place, call: Call) -> Future[None]:
        with self._lock:
            self._free -= 1
            self._taken.add(place)
        future, run = _promise(call)
        # daemon: a job that never returns must not keep the process from leaving
        Thread(target=run, name=f"Thread-{place.first_index + 1}", daemon=True).start()
        return future

    def give_back(self, place: Place) -> None:
        with self._lock:
            if place in self._taken:
                self._taken.remove(place)
                self._free += 1

    def replace(self, place: Place) -> None:
        """Nothing to make up for: the cap is on threads, and this one is still there."""

    def shutdown(self) -> None:
        """Nothing queues here: each thread was started with its job."""


class SequentialExecutor:
    """One thread for each batch, on which its jobs run one after another; batches capped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._threads: dict[int, ThreadPoolExecutor] = {}  # by batch key; guarded by _lock
        self._taken: dict[int, Place] = {}  # by batch key; guarded by _lock
        self._made = 0  # threads so far: no two have one name; guarded by _lock

    @property
    def free(self) -> int:
        return self._limit - len(self._taken)

    @property
    def room(self) -> int:
        return self.free

    def submit(self, place: Place, call: Call) -> Future[None]:
        with self._lock:
            thread = self._threads.get(place.batch_key)
            if thread is None:
                self._made += 1
                thread = ThreadPoolExecutor(1, thread_name_prefix=f"sequential-{self._made}")
                self._threads[place.batch_key] = thread
            self._taken[place.batch_key] = place
        return thread.submit(call)

    def give_back(self, place: Place) -> None:
        with self._lock:
            if self._taken.get(place.batch_key) is place:
                del self._taken[place.batch_key]

    def replace(self, place: Place) -> None:
        """The batch's next job gets a new thread."""
        with self._lock:
            if self._taken.get(place.batch_key) is not place:
                return
            del self._taken[place.batch_key]
            thread = self._threads.pop(place.batch_key)
        thread.shutdown(wait=False)

    def retire_idle(self) -> None:
        """Let go of the threads of batches that have nothing running here."""
        with self._lock:
            idle = [key for key in self._threads if key not in self._taken]
            threads = [self._threads.pop(key) for key in idle]
        for thread in threads:
            thread.shutdown(wait=False)

    def shutdown(self) -> None:
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.shutdown(wait=False, cancel_futures=True)


def _promise(call: Call) -> tuple[Future[None], Call]:
    """A call that tells its end to a future. ``call`` must not raise."""
    future: Future[None] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        call()
        future.set_result(None)

    return future, run
