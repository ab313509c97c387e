"""What every use case works with, and the client it works for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from service.clock import Clock
from service.engine.engine import Engine
from service.errors import KeyInFlight
from service.jobs.catalogue import Catalogue
from service.operations.news import BatchNews
from service.settings import Settings
from service.store import queries
from service.store.keys import NO_OWNER
from service.store.store import Store


class Caller(NamedTuple):
    """Who asks: a key's id. What one caller made, no other sees.

    As long as no key was ever made, all are the same caller.
    """

    owner: int = NO_OWNER


NOBODY = Caller(-1)
"""For what is open to all: it sees no batch."""


class KeysInFlight:
    """The Idempotency-Keys that requests of this process are being worked on for.

    Those of one caller are not those of another.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # by caller; request threads add and remove; guarded by _lock
        self._keys: set[tuple[Caller, str]] = set()

    @contextmanager
    def holding(self, caller: Caller, key_hash: str | None) -> Iterator[None]:
        """Keep a second request with this key out while the first is being worked on."""
        if key_hash is None:
            yield
            return
        held = caller, key_hash
        with self._lock:
            if held in self._keys:
                raise KeyInFlight
            self._keys.add(held)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(held)


class Seats:
    """Request threads that may be held by waits and streams at once: half of them."""

    def __init__(self, threads: int) -> None:
        self.total = max(1, threads // 2)
        self._free = BoundedSemaphore(self.total)

    def take(self) -> Seat | None:
        """None if none is free; else ``leave`` must follow."""
        return Seat(self._free) if self._free.acquire(blocking=False) else None


class Seat:
    """One that was taken."""

    def __init__(self, free: BoundedSemaphore) -> None:
        self._free: BoundedSemaphore | None = free  # the request's thread only

    def leave(self) -> None:
        """Safe twice."""
        if self._free:
            self._free.release()
        self._free = None


@dataclass(frozen=True)
class Parts:
    """Shared by all requests of this process."""

    store: Store
    engine: Engine
    catalogue: Catalogue
    clock: Clock
    settings: Settings
    news: BatchNews
    seats: Seats
    keys: KeysInFlight = field(default_factory=KeysInFlight)


class UseCase:
    """A part of what a client can do, for one caller."""

    def __init__(self, parts: Parts, caller: Caller) -> None:
        self._parts = parts
        self._store = parts.store
        self._caller = caller

    def _find(self, connection: Connection, batch_id: str) -> Row[Any]:
        """Raises NotFound, also for what another caller made, and Expired."""
        now_ms = self._parts.clock.now_ms()
        return queries.find_batch(connection, batch_id, now_ms, self._caller.owner)
