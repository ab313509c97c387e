"""What the running jobs of one batch share in this process."""

from __future__ import annotations

from threading import Lock

from service.model import ClaimedBatch, batch_of


class Ensemble:
    """The print lock of a batch, and how many of its jobs are on a thread right now."""

    def __init__(self, batch: ClaimedBatch) -> None:
        self.batch = batch
        self.print_lock = Lock()  # what jobs hold while they print: the lesson's own lock
        self._counting = Lock()
        self._running = 0  # job threads add and take away; guarded by _counting
        self._peak = 0  # as _running
        self.members = 0  # live jobs, running or about to; guarded by Ensembles._lock

    def begin(self) -> None:
        """Count the calling job as running."""
        with self._counting:
            self._running += 1
            if self._running > self._peak:
                self._peak = self._running

    def end(self) -> None:
        """Count it no more."""
        with self._counting:
            self._running -= 1

    @property
    def peak(self) -> int:
        """The most jobs that ran here at once, so far."""
        return self._peak


class Ensembles:
    """The ensembles of the batches that have live jobs here."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_batch: dict[int, Ensemble] = {}  # dispatcher adds, job threads remove; _lock

    def join(self, batch: ClaimedBatch) -> Ensemble:
        with self._lock:
            ensemble = self._by_batch.get(batch.key)
            if ensemble is None:
                ensemble = self._by_batch[batch.key] = Ensemble(batch)
            ensemble.members += 1
            return ensemble

    def leave(self, job_key: int) -> bool:
        """Whether other jobs of the batch are live."""
        with self._lock:
            ensemble = self._by_batch[batch_of(job_key)]
            ensemble.members -= 1
            if not ensemble.members:
                del self._by_batch[batch_of(job_key)]
            return ensemble.members > 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._by_batch)
