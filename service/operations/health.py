"""How busy the service is, and whether it should get traffic."""

from __future__ import annotations

from typing import NamedTuple

from service.engine.engine import ThreadState
from service.errors import StoreUnavailable
from service.operations.parts import UseCase
from service.store import queries


class ExecutorState(NamedTuple):
    """How busy the service is."""

    threads: ThreadState
    queued: int
    oldest_wait_s: float | None
    nodes: int


class Health(UseCase):
    """Of the service, whoever asks."""

    def executor_state(self) -> ExecutorState:
        with self._store.snapshot() as connection:
            queue = queries.queue_state(connection)
        oldest, now_ms = queue.oldest_queued_ms, self._parts.clock.now_ms()
        wait_s = None if oldest is None else max(0.0, (now_ms - oldest) / 1000)
        return ExecutorState(self._parts.engine.threads(), queue.queued, wait_s, queue.nodes)

    def measure(self) -> None:
        """Bring this process's own numbers up to date."""
        self._parts.engine.measure()

    def unready(self) -> str | None:
        """Why the service should get no traffic now; None if it should."""
        if self._parts.engine.draining:
            return "draining"
        if self._store.journal.failure:
            return f"the store can't be written: {self._store.journal.failure}"
        if self._parts.engine.exhausted:
            return "more than a quarter of the pool's threads have not returned"
        try:
            with self._store.snapshot() as connection:
                queries.probe(connection)
        except StoreUnavailable as error:
            return error.detail
        return None
