"""Lets request threads wait for what this process's journal writes down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Lock
from typing import NamedTuple

from service.model import Committed


class Listener(NamedTuple):
    """A request that waits for news of a batch: of its end only, or of any change."""

    event: Event
    end_only: bool


class BatchNews:
    """What happened to batches: the journal tells, requests listen."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._listening: dict[str, list[Listener]] = {}  # request threads add and remove; _lock

    def announce(self, done: Committed) -> None:
        if not self._listening:
            return  # who comes now looks before it listens for the first time
        ended = {batch.id for batch in done.batches}
        with self._lock:
            for batch_id in done.touched & self._listening.keys():
                for listener in self._listening[batch_id]:
                    if batch_id in ended or not listener.end_only:
                        listener.event.set()

    def of_end(self, batch_id: str) -> AbstractContextManager[Event]:
        """Set when the batch has ended; whoever waits clears it."""
        return self._listen(batch_id, end_only=True)

    def of_changes(self, batch_id: str) -> AbstractContextManager[Event]:
        """Set when a count, the status or the console has changed; whoever waits clears it."""
        return self._listen(batch_id, end_only=False)

    @contextmanager
    def _listen(self, batch_id: str, *, end_only: bool) -> Iterator[Event]:
        listener = Listener(Event(), end_only)
        with self._lock:
            self._listening.setdefault(batch_id, []).append(listener)
        try:
            yield listener.event
        finally:
            with self._lock:
                self._listening[batch_id].remove(listener)
                if not self._listening[batch_id]:
                    del self._listening[batch_id]
