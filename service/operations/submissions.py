"""Accepting batches: new ones, and those that try again what another left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Row

from service.errors import BatchActive, Draining, NothingToRetry
from service.model import BATCH_ENDED, BatchOptions, Executor, JobSpec, PrintLock, Quotas
from service.operations.jobs import Jobs
from service.operations.parts import UseCase
from service.store import queries, submits
from service.store.submits import Remembered, Sealed
from service.store.submitting import Accepted

log = logging.getLogger(__name__)


class Submissions(UseCase):
    """Whole or not at all: what is returned is on disk."""

    def submit(
        self,
        options: BatchOptions,
        specs: Iterable[JobSpec],
        remember: Callable[[], Remembered | None] = lambda: None,
        key_hash: str | None = None,
    ) -> Sealed:
        """Accept a batch. ``key_hash`` is that of ``remember``, which is asked at the end.

        Raises Draining, QueueFull, QuotaUsed, KeyReused, StoreUnavailable, and what ``specs``
        raises.
        """
        engine, settings = self._parts.engine, self._parts.settings
        if engine.draining:
            raise Draining
        sealed = self._store.submit(
            options,
            specs,
            node=engine.node,
            ttl_s=settings.ttl_s,
            most_queued=settings.max_queued_jobs,
            remember=remember,
            remember_s=settings.idempotency_ttl_s,
            owner=self._caller.owner,
            quotas=Quotas(settings.key_max_queued_jobs, settings.key_batches_per_minute),
            key_hash=key_hash,
        )
        if not sealed.replayed:
            _tell_of(sealed.batch)
        return sealed

    def key_in_flight(self, key_hash: str | None) -> AbstractContextManager[None]:
        """Raises KeyInFlight while another request with this key is being worked on."""
        return self._parts.keys.holding(self._caller, key_hash)

    def retry(
        self, batch_id: str, states: Sequence[str], remember: Remembered | None = None
    ) -> Sealed:
        """Make a new batch of those jobs of an ended batch that are in these states.

        Raises BatchActive, NothingToRetry, and what ``submit`` raises.
        """
        if remember and (before := self._recall(remember)):
            return Sealed(before, replayed=True)
        with self._store.snapshot() as connection:
            batch = self._find(connection, batch_id)
        if batch.status not in BATCH_ENDED:
            raise BatchActive("a batch that has not ended can't be retried: wait or cancel it")
        options = BatchOptions(
            name=batch.name,
            labels=queries.labels_of(batch),
            executor=Executor(batch.executor),
            max_workers=batch.max_workers,
            lock=PrintLock(batch.lock),
            priority=batch.priority,
            ttl_s=batch.ttl_s,
            retry_of=batch.id,
        )
        return self.submit(
            options, self._specs_of(batch, states), lambda: remember, remember and remember.key_hash
        )

    def _recall(self, remember: Remembered) -> Accepted | None:
        with self._store.snapshot() as connection:
            now_ms = self._parts.clock.now_ms()
            return submits.recall(connection, remember, now_ms, self._caller.owner)

    def _specs_of(self, batch: Row[Any], states: Sequence[str]) -> Iterator[JobSpec]:
        found = False
        for page in Jobs(self._parts, self._caller).pages(batch.id):
            for job in page.jobs:
                if job.state in states:
                    found = True
                    yield JobSpec(*(getattr(job, name) for name in JobSpec._fields))
        if not found:
            raise NothingToRetry(f"no job of the batch is {' or '.join(states)}")


def _tell_of(batch: Accepted) -> None:
    told = {
        "batch_id": batch.id,
        "jobs": batch.total,
        "batch_name": batch.name,
        "executor": batch.executor,
        "retry_of": batch.retry_of,
    }
    log.info("batch accepted", extra={name: v for name, v in told.items() if v is not None})
