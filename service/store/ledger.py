"""The counters of the batches that a transaction touches.

Each touched batch is read once and written once in a transaction, however many of its jobs
moved: that keeps the counters in step with the jobs, and a job's share of the cost small.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Dialect

from service.model import BATCH_ENDED, BatchStatus, EndedBatch, Executor, JobState
from service.store.gauges import QUEUED, Gauges
from service.store.keys import NO_OWNER
from service.store.prepared import Prepared
from service.store.schema import batches, keys


@dataclass(slots=True)
class Entry:
    """A batch's counters inside a transaction; mutable, written back by ``Ledger.settle``."""

    key: int
    id: str
    owner: int
    executor: str
    status: str
    outcome: str | None
    cancel_requested: int
    ttl_s: int
    home: int | None
    total: int
    queued: int
    waiting: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    finish_seq: int
    console_seq: int
    console_bytes: int
    version: int
    turn: int
    run_ms: int
    cpu_us: int
    live: int
    live_claimed_ms: int
    peak: int
    started_ms: int | None
    finished_ms: int | None
    expires_ms: int | None

    def count(self, state: JobState, change: int) -> None:
        """Move ``change`` jobs into (or, negative, out of) a state."""
        if state is JobState.WAITING:
            self.waiting += change
            self.queued += change
        else:
            setattr(self, state.value, getattr(self, state.value) + change)

    @property
    def ended(self) -> bool:
        return self.status in BATCH_ENDED


_COLUMNS = [field.name for field in fields(Entry)]
_values = attrgetter(*_COLUMNS)
_FIXED = {"key", "id", "owner", "executor", "ttl_s", "total"}


class LedgerStatements:
    """What a ledger runs, prepared once for a database."""

    def __init__(self, dialect: Dialect) -> None:
        read = select(*(batches.c[name] for name in _COLUMNS)).where(
            batches.c.key == bindparam("batch")
        )
        self.read = Prepared(read.with_for_update(), dialect)
        changes: dict[str, Any] = {name: bindparam(name) for name in _COLUMNS if name not in _FIXED}
        self.write = Prepared(
            update(batches).where(batches.c.key == bindparam("batch")).values(changes), dialect
        )
        self.queue_of_owner = Prepared(
            update(keys)
            .where(keys.c.id == bindparam("of"))
            .values(queued=keys.c.queued + bindparam("change")),
            dialect,
        )


class Ledger:
    """One transaction's view of the batches it touches."""

    def __init__(
        self, statements: LedgerStatements, cursor: Any, gauges: Gauges, now_ms: int
    ) -> None:
        self._statements = statements
        self._cursor = cursor
        self._gauges = gauges
        self._now_ms = now_ms
        self._entries: dict[int, Entry | None] = {}
        self._queued_before: dict[int, int] = {}
        self.touched: set[str] = set()
        self.ended: dict[str, EndedBatch] = {}

    def batch(self, key: int) -> Entry | None:
        """The batch's counters; None if it is gone. The caller changes them in place."""
        if key not in self._entries:
            row = self._statements.read.run(self._cursor, {"batch": key}).fetchone()
            entry = Entry(*row) if row else None
            self._entries[key] = entry
            if entry:
                self._queued_before[key] = entry.queued
        return self._entries[key]

    def forget(self, key: int) -> None:
        """The batch's row was changed or removed by other means."""
        self._entries.pop(key, None)

    def settle(self) -> set[Executor]:
        """Write every touched batch back, its status following from its counts. Returns the
        executors for which they have jobs that are ready to run."""
        ready: set[Executor] = set()
        if not self._entries:
            return ready  # as mostly: each write of a transaction begins and ends with it
        changes: Counter[int] = Counter()
        for entry in self._entries.values():
            if entry is None:
                continue
            self._conclude(entry)
            if entry.queued > entry.waiting and entry.status != BatchStatus.STAGING:
                ready.add(Executor(entry.executor))
            changes[entry.owner] += entry.queued - self._queued_before[entry.key]
            self.touched.add(entry.id)
            binds = dict(zip(_COLUMNS, _values(entry), strict=True), batch=entry.key)
            self._statements.write.run(self._cursor, binds)
        for owner, change in changes.items():
            self.count_queued(change, owner)
        self._entries.clear()
        return ready

    def count_queued(self, change: int, owner: int) -> None:
        """So many jobs more (or, negative, fewer) are queued: in all, and of this owner."""
        if change:
            self._gauges.add(QUEUED, change)
        if change and owner != NO_OWNER:
            self._statements.queue_of_owner.run(self._cursor, {"of": owner, "change": change})

    def _conclude(self, entry: Entry) -> None:
        entry.version += 1
        if entry.status == BatchStatus.STAGING or entry.ended:
            return
        if entry.queued or entry.running:
            entry.status = _active_status(entry)
            return
        cancelled = bool(entry.cancel_requested and entry.cancelled)
        entry.status = BatchStatus.CANCELLED if cancelled else BatchStatus.COMPLETED
        entry.outcome = _outcome(entry, cancelled=cancelled)
        entry.finished_ms = entry.finished_ms or self._now_ms
        # from now, not from the last job's end: a clock of the past must not expire it at once
        entry.expires_ms = self._now_ms + entry.ttl_s * 1000
        entry.home = None
        self.ended[entry.id] = EndedBatch(
            entry.id,
            entry.outcome,
            entry.succeeded,
            entry.failed,
            entry.cancelled,
            entry.started_ms,
            finished_ms=entry.finished_ms,
        )


def _active_status(entry: Entry) -> BatchStatus:
    if entry.cancel_requested:
        return BatchStatus.CANCELLING
    return BatchStatus.QUEUED if entry.started_ms is None else BatchStatus.RUNNING


def _outcome(entry: Entry, *, cancelled: bool) -> str:
    if cancelled or entry.cancelled == entry.total:
        return "cancelled"
    if entry.succeeded == entry.total:
        return "succeeded"
    return "partial" if entry.succeeded else "failed"
