"""How a job is told to stop. A thread can't be killed, so the job has to look."""

from __future__ import annotations

from math import inf
from threading import TIMEOUT_MAX, Event
from time import monotonic

from service.errors import JobStopped, JobTimedOut


class StopToken:
    """One job's: set by others, looked at by the job. It stops for the first reason given."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        # made by the job if it sleeps, which most jobs of a shift never do
        self._stop: Event | None = None
        self._reason: type[JobStopped] | None = None  # first setter writes, the job reads
        self._asked_at: float | None = None  # as _reason; by time.monotonic()
        self._deadline = inf  # by time.monotonic(); the job's thread sets it as it begins

    def begin(self) -> None:
        """The job begins now; what it waited for before did not count."""
        self._deadline = monotonic() + self.timeout_s

    def stop(self, reason: type[JobStopped]) -> None:
        if self._reason is None:
            self._reason = reason
            self._asked_at = monotonic()
        if self._stop is not None:
            self._stop.set()

    @property
    def timed_out(self) -> bool:
        """Whether the deadline is over, whatever else the job was told."""
        return monotonic() >= self._deadline

    def asked_before(self, moment: float) -> bool:
        """Whether the job should have stopped before a moment of time.monotonic()."""
        return min(self._deadline, inf if self._asked_at is None else self._asked_at) < moment

    def check(self) -> None:
        """Raise the reason if there is one, JobTimedOut past the deadline."""
        if self._reason is not None:
            raise self._reason
        if monotonic() >= self._deadline:
            raise JobTimedOut

    def sleep(self, seconds: float) -> None:
        """Wait; wakes and raises at once when told to stop, and at the deadline."""
        # first the event, then the look: whoever stops the job in between sets one or the other
        if self._stop is None:
            self._stop = Event()
        self.check()
        until = monotonic() + seconds
        self._stop.wait(min(max(0.0, min(until, self._deadline) - monotonic()), TIMEOUT_MAX))
        self.check()

    def remaining_s(self) -> float:
        return max(0.0, self._deadline - monotonic())
