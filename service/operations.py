"""The use cases, as HTTP and the command line share them. Reads the store, never the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import BoundedSemaphore, Event, Lock
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from service.clock import Clock
from service.engine.engine import Engine, ThreadState
from service.errors import (
    BatchActive,
    Draining,
    KeyInFlight,
    NotFound,
    NothingToRetry,
    StoreUnavailable,
)
from service.jobs.catalogue import Catalogue
from service.model import (
    BATCH_ENDED,
    BatchOptions,
    Executor,
    JobSpec,
    PrintLock,
    batch_of,
    index_of,
    job_key,
)
from service.settings import Settings
from service.store import listing, pages, queries, submits
from service.store.cancels import Cancelled
from service.store.listing import BatchFilter
from service.store.pages import Page
from service.store.store import Store
from service.store.submits import Accepted, Remembered, Sealed

POLL_S = 0.2
"""How often a waiting request looks: another process may have ended the batch."""

PAGE = 1_000


class JobPage(NamedTuple):
    """Jobs of a batch, read in one snapshot with the batch."""

    batch: Row[Any]
    jobs: Sequence[Row[Any]]
    earlier: dict[int, list[Row[Any]]]
    end: int | None = None  # the index behind which the next page begins; None after the last


class ExecutorState(NamedTuple):
    """How busy the service is."""

    threads: ThreadState
    queued: int
    oldest_wait_s: float | None
    nodes: int


class BatchEndings:
    """Lets requests wait for the end of a batch that this process's journal writes down."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, list[Event]] = {}  # request threads add and remove; _lock

    def announce(self, batch_ids: set[str]) -> None:
        with self._lock:
            for batch_id in batch_ids & self._waiting.keys():
                for event in self._waiting[batch_id]:
                    event.set()

    @contextmanager
    def of(self, batch_id: str) -> Iterator[Event]:
        event = Event()
        with self._lock:
            self._waiting.setdefault(batch_id, []).append(event)
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[batch_id].remove(event)
                if not self._waiting[batch_id]:
                    del self._waiting[batch_id]


class Operations:
    """What clients can do. Errors are those of ``service.errors``."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        catalogue: Catalogue,
        clock: Clock,
        settings: Settings,
        endings: BatchEndings,
    ) -> None:
        self._store = store
        self._engine = engine
        self.catalogue = catalogue
        self._clock = clock
        self.settings = settings
        self._endings = endings
        # a wait holds a request thread: at most half of them may wait
        self._waits = BoundedSemaphore(max(1, settings.threads // 2))
        self._keys_lock = Lock()
        self._keys: set[str] = set()  # Idempotency-Keys in flight here; guarded by _keys_lock

    # --- submitting ---------------------------------------------------------------------------

    def submit(
        self,
        options: BatchOptions,
        specs: Iterable[JobSpec],
        remember: Callable[[], Remembered | None] = lambda: None,
    ) -> Sealed:
        """Accept a batch, whole: when this returns it is on disk.

        Raises Draining, QueueFull, KeyReused, StoreUnavailable, and what ``specs`` raises.
        """
        if self._engine.draining:
            raise Draining
        sealed = self._store.submit(
            options,
            specs,
            node=self._engine.node,
            ttl_s=self.settings.ttl_s,
            most_queued=self.settings.max_queued_jobs,
            remember=remember,
            remember_s=self.settings.idempotency_ttl_s,
        )
        self._engine.wake()
        return sealed

    @contextmanager
    def key_in_flight(self, key_hash: str | None) -> Iterator[None]:
        """Keep a second request with this key out while the first is being worked on."""
        if key_hash is None:
            yield
            return
        with self._keys_lock:
            if key_hash in self._keys:
                raise KeyInFlight
            self._keys.add(key_hash)
        try:
            yield
        finally:
            with self._keys_lock:
                self._keys.discard(key_hash)

    def retry(
        self, batch_id: str, states: Sequence[str], remember: Remembered | None = None
    ) -> Sealed:
        """Make a new batch of those jobs of an ended batch that are in these states.

        Raises BatchActive, NothingToRetry, and what ``submit`` raises.
        """
        if remember and (before := self._recall(remember)):
            return Sealed(before, replayed=True)
        batch = self.show_batch(batch_id)
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
        return self.submit(options, self._specs_of(batch, states), lambda: remember)

    def _recall(self, remember: Remembered) -> Accepted | None:
        with self._store.snapshot() as connection:
            return submits.recall(connection, remember, self._clock.now_ms())

    def _specs_of(self, batch: Row[Any], states: Sequence[str]) -> Iterator[JobSpec]:
        found = False
        for page in self.job_pages(batch.id):
            for job in page.jobs:
                if job.state in states:
                    found = True
                    yield JobSpec(
                        job.type, job.params, job.custom_id, job.timeout_s, job.max_attempts
                    )
        if not found:
            raise NothingToRetry(f"no job of the batch is {' or '.join(states)}")

    # --- reading ------------------------------------------------------------------------------

    def show_batch(self, batch_id: str) -> Row[Any]:
        """Raises NotFound, Expired."""
        with self._store.snapshot() as connection:
            return self._find(connection, batch_id)

    def wait_for_end(self, batch_id: str, seconds: float) -> bool:
        """Wait for the batch's end; False if no more requests may wait now."""
        if not self._waits.acquire(blocking=False):
            return False
        try:
            with self._endings.of(batch_id) as ended:
                until = monotonic() + seconds
                while self._still_active(batch_id) and (left := until - monotonic()) > 0:
                    ended.wait(min(left, POLL_S))
        finally:
            self._waits.release()
        return True

    def _still_active(self, batch_id: str) -> bool:
        return not self._engine.draining and self.show_batch(batch_id).status not in BATCH_ENDED

    def list_batches(
        self, wanted: BatchFilter, *, before: int | None, limit: int
    ) -> Sequence[Row[Any]]:
        with self._store.snapshot() as connection:
            return listing.list_batches(
                connection, wanted, before=before, limit=limit, now_ms=self._clock.now_ms()
            )

    def list_jobs(
        self, batch_id: str, *, after: int = -1, limit: int = PAGE, status: str | None = None
    ) -> JobPage:
        with self._store.snapshot() as connection:
            batch = self._find(connection, batch_id)
            if status == "succeeded" and not batch.succeeded:
                return JobPage(batch, [], {})
            jobs, end = pages.jobs_page(
                connection, batch.key, after=after, limit=limit, status=status
            )
            earlier = queries.attempts_of(connection, [job.key for job in jobs if job.attempt > 1])
            return JobPage(batch, jobs, earlier, None if end is None else index_of(end))

    def job_pages(self, batch_id: str) -> Iterator[JobPage]:
        """Every job in submission order. Each page is a snapshot of its own: a slow reader
        of a huge batch must not hold back the WAL's checkpoint."""
        after: int | None = -1
        while after is not None:
            page = self.list_jobs(batch_id, after=after)
            yield page
            after = page.end

    def console(self, batch_id: str) -> Iterator[str]:
        """What the jobs printed so far, in the order printed, in pieces."""
        return self._texts(pages.console_page, self.show_batch(batch_id).key)

    def job_console(self, batch_id: str, index: int) -> Iterator[str]:
        return self._texts(pages.console_of_job, self.show_job(batch_id, index).jobs[0].key)

    def _texts(self, page_of: Callable[..., Page], key: int) -> Iterator[str]:
        after: int | None = 0
        while after is not None:
            with self._store.snapshot() as connection:
                rows, after = page_of(connection, key, after=after, limit=PAGE)
            yield "".join(row.text for row in rows)

    def show_job(self, batch_id: str, index: int) -> JobPage:
        """One job, as a page. Raises NotFound, Expired."""
        with self._store.snapshot() as connection:
            batch = self._find(connection, batch_id)
            job = queries.find_job(connection, job_key(batch.key, index))
            if job is None:
                raise NotFound(f"batch {batch_id} has no job {index}")
            return JobPage(batch, [job], queries.attempts_of(connection, [job.key]))

    def _find(self, connection: Connection, batch_id: str) -> Row[Any]:
        return queries.find_batch(connection, batch_id, self._clock.now_ms())

    # --- ending -------------------------------------------------------------------------------

    def cancel_batch(self, batch_id: str) -> tuple[Cancelled, bool]:
        """Cancel what is queued, ask what runs to stop; repeatable. True if it had ended."""
        batch = self.show_batch(batch_id)
        if batch.status in BATCH_ENDED:
            return Cancelled(0, 0, more=False), True
        cancelled = self._store.cancel_batch(batch.key)
        self._engine.cancel(batch_key=batch.key)
        return cancelled, False

    def cancel_job(self, batch_id: str, index: int) -> JobPage:
        """Cancel one job; repeatable. Returns it as it then is."""
        job = self.show_job(batch_id, index).jobs[0]
        self._store.cancel_job(job.key, batch_of(job.key))
        self._engine.cancel([job.key])
        return self.show_job(batch_id, index)

    def delete_batch(self, batch_id: str) -> None:
        """Remove an ended batch. Raises BatchActive."""
        self._store.delete_batch(self.show_batch(batch_id).key)

    # --- the service itself ---------------------------------------------------------------------

    def executor_state(self) -> ExecutorState:
        with self._store.snapshot() as connection:
            queue = queries.queue_state(connection)
        oldest = queue.oldest_queued_ms
        wait_s = None if oldest is None else max(0.0, (self._clock.now_ms() - oldest) / 1000)
        return ExecutorState(self._engine.threads(), queue.queued, wait_s, queue.nodes)

    def unready(self) -> str | None:
        """Why the service should get no traffic now; None if it should."""
        if self._engine.draining:
            return "draining"
        if self._store.journal.failure:
            return f"the store can't be written: {self._store.journal.failure}"
        if self._engine.exhausted:
            return "more than a quarter of the pool's threads have not returned"
        try:
            with self._store.snapshot() as connection:
                queries.probe(connection)
        except StoreUnavailable as error:
            return error.detail
        return None

    def now_ms(self) -> int:
        return self._clock.now_ms()
