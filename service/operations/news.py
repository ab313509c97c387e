"""Lets request threads wait for what this process's journal writes down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock


class BatchNews:
    """Batches that ended: the journal tells, requests listen."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._listening: dict[str, list[Event]] = {}  # request threads add and remove; _lock

    def announce(self, batch_ids: set[str]) -> None:
        with self._lock:
            for batch_id in batch_ids & self._listening.keys():
                for event in self._listening[batch_id]:
                    event.set()

    @contextmanager
    def of(self, batch_id: str) -> Iterator[Event]:
        """Set when there is news of the batch; whoever waits clears it."""
        event = Event()
        with self._lock:
            self._listening.setdefault(batch_id, []).append(event)
        try:
            yield event
        finally:
            with self._lock:
                self._listening[batch_id].remove(event)
                if not self._listening[batch_id]:
                    del self._listening[batch_id]
