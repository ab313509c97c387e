"""The live futures of this process."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from threading import Condition, Lock
from typing import NamedTuple

from service.engine.ensemble import Ensemble
from service.engine.executors import Place
from service.engine.token import StopToken
from service.errors import AlreadyLive, JobStopped, Saturated
from service.model import ClaimedJob


class Begun(NamedTuple):
    """When a job began, in milliseconds since the epoch, and on which thread."""

    started_ms: int
    thread: str


class LiveJob:
    """A claimed job, from its reservation until its thread has returned."""

    __slots__ = (
        "begun",
        "ensemble",
        "future",
        "job",
        "lost",
        "node",
        "noted",
        "place",
        "returned",
        "token",
    )

    def __init__(
        self,
        job: ClaimedJob,
        node: int,
        place: Place,
        token: StopToken,
        ensemble: Ensemble,
    ) -> None:
        self.job = job
        self.node = node  # the owner that its finish is fenced with
        self.token = token
        self.ensemble = ensemble
        self.future: Future[None] | None = None  # its shift's; the dispatcher sets it
        self.place = place
        self.begun: Begun | None = None  # its thread sets it, once
        self.lost = False  # its thread overstayed and was replaced; guarded by the registry
        self.returned = False  # guarded by the registry
        self.noted: Future[None] | None = None  # of its beginning; the keeper's thread alone


class FutureRegistry:
    """Live jobs of this process. Not a record of jobs: the store is."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._emptied = Condition(self._lock)
        self._live: dict[int, LiveJob] = {}  # dispatcher adds, job threads remove; _lock
        self._lost = 0  # how many of them are lost; guarded by _lock

    def reserve(self, live: LiveJob) -> None:
        """Take a place for a job before it is submitted.

        Raises AlreadyLive for a second reservation, Saturated at capacity. A job whose thread
        never returned does not count: its place was given to another.
        """
        key = live.job.key
        with self._lock:
            before = self._live.get(key)
            if before is not None and not before.lost:
                raise AlreadyLive(f"job {key} is already live")
            if len(self._live) - self._lost >= self._capacity:
                raise Saturated(f"all {self._capacity} places are taken")
            self._forget(before)
            self._live[key] = live

    def release(self, live: LiveJob) -> None:
        """The job's thread has returned."""
        with self._lock:
            live.returned = True
            if self._live.get(live.job.key) is live:
                self._forget(live)
            self._tell_if_empty()

    def give_up(self, live: LiveJob) -> bool:
        """Count the job's thread as not returned; False if it just did."""
        with self._lock:
            if live.returned or live.lost:
                return False
            live.lost = True
            self._lost += self._live.get(live.job.key) is live
            self._tell_if_empty()
            return True

    def _is_empty(self) -> bool:
        return len(self._live) == self._lost

    def _tell_if_empty(self) -> None:
        """Call it with _lock held."""
        if self._is_empty():
            self._emptied.notify_all()

    def _forget(self, live: LiveJob | None) -> None:
        if live is not None:
            del self._live[live.job.key]
            self._lost -= live.lost

    def stop(self, keys: Iterable[int], reason: type[JobStopped]) -> int:
        """Tell these jobs to stop; returns how many of them are live here."""
        with self._lock:
            found = [self._live[key] for key in keys if key in self._live]
        for live in found:
            live.token.stop(reason)
        return len(found)

    def snapshot(self) -> list[LiveJob]:
        with self._lock:
            return list(self._live.values())

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until every thread that can be waited for has returned."""
        with self._lock:
            return self._emptied.wait_for(self._is_empty, timeout_s)

    def __len__(self) -> int:
        with self._lock:
            return len(self._live)
