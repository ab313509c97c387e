"""What running job code is given: the ``JobContext`` of a job on its thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.engine.registry import LiveJob
from service.model import PrintLock, index_of
from service.store.store import Store

LOCK_LOOK_S = 0.05
"""How often a job that waits for its batch's lock looks whether it was told to stop."""


class RunningContext:
    """Implements ``service.jobs.contract.JobContext`` for one execution of a job."""

    def __init__(self, live: LiveJob, store: Store, *, max_console_bytes: int) -> None:
        self._live = live
        self._store = store
        self._room = max_console_bytes
        self.gap_s: float | None = None
        self.charged_cpu_s = 0.0

    @property
    def job_id(self) -> str:
        job = self._live.job
        return f"{job.batch.id}.{index_of(job.key)}"

    @property
    def attempt(self) -> int:
        return self._live.job.attempt

    def print(self, text: str) -> None:
        text = self._fitting(text)
        if not text:
            return
        ensemble, key = self._live.ensemble, self._live.job.key
        if ensemble.batch.lock is PrintLock.LINE:
            with ensemble.print_lock:
                self._store.print(key, text + "\n")
        elif ensemble.batch.lock is PrintLock.JOB:
            self._store.print(key, text + "\n")  # held since the job began
        else:
            self._print_unlocked(key, text)

    def _print_unlocked(self, key: int, text: str) -> None:
        """As ``print`` to a terminal does it: two writes, each of which lets others run."""
        self._store.print(key, text)
        time.sleep(0)
        self._store.print(key, "\n")

    def _fitting(self, text: str) -> str:
        """The text, storable and within the console's bound; where that is passed, it says so."""
        if self._room < 0:
            return ""
        size = len(text)
        if not text.isascii():
            encoded = text.encode("utf-8", "replace")
            text, size = encoded.decode(), len(encoded)
        if "\0" in text:
            text = text.replace("\0", "\ufffd")  # databases take it for the end of the text
        self._room -= size + 1
        return text if self._room >= 0 else "[the console limit of this job is reached]"

    def sleep(self, seconds: float) -> None:
        self._live.token.sleep(seconds)

    def check(self) -> None:
        self._live.token.check()

    def charge_cpu(self, seconds: float) -> None:
        self.charged_cpu_s += seconds

    def keep_gap(self, seconds: float) -> None:
        self.gap_s = seconds

    def remaining_s(self) -> float:
        return self._live.token.remaining_s()

    @contextmanager
    def holding_the_lock(self) -> Iterator[None]:
        """Hold the batch's print lock, for ``lock: job``. A stop ends the wait for it."""
        lock = self._live.ensemble.print_lock
        while not lock.acquire(timeout=LOCK_LOOK_S):
            self.check()
        try:
            yield
        finally:
            lock.release()
