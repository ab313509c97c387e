"""The one writer of a process: what is waiting becomes one transaction, then one fsync."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Lock, Thread
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from service.clock import Clock
from service.errors import StoreUnavailable
from service.model import (
    Committed,
    ConsoleText,
    EndedBatch,
    Ending,
    Executor,
    Outcome,
    error_json,
)
from service.store.database import Database, is_fault
from service.store.finishes import finish, told_of, write_console
from service.store.hosts import HostRules
from service.store.statements import Statements
from service.store.transaction import Transaction

T = TypeVar("T")
Write = Callable[[Transaction], T]

CONSOLE_DELAY_S = 0.05
"""Printed text may wait this long for company: a line a commit would be a fsync a line."""

OUTCOME_DELAY_S = 0.002
"""So may an outcome, for which nobody waits; what somebody waits for takes all along at once.
A thread that is free has its next jobs claimed, so under load both go into one transaction."""

COMPANY_DELAY_S = 0.02
"""So long may one that is not its batch's last: the next are on their way."""

MOST_BYTES = 16 << 20
"""Of results that go into one transaction, so that it stays short and SQLite can hold it."""

RETRY_S = 0.25
"""After a failed commit, before what could not be answered with an error is tried again."""

log = logging.getLogger(__name__)


class Pending:
    """A write that someone waits for. Its verdict is told only after the commit.

    ``last``: it wants to see what the others of its transaction have written, and raises nothing
    that is no fault, so it needs no savepoint.
    """

    def __init__(
        self,
        write: Write[Any],
        *,
        last: bool = False,
        told: Callable[[Future[Any]], None] | None = None,
    ) -> None:
        self._write = write
        self.last = last
        self.answer: Future[Any] = Future()
        if told:
            self.answer.add_done_callback(told)
        self._value: Any = None
        self._error: Exception | None = None

    def apply(self, tx: Transaction) -> None:
        """Run the write under its own savepoint. Raises only if the whole transaction is lost."""
        self._value = self._error = None
        if self.last:
            self._value = self._write(tx)
            return
        try:
            with tx.savepoint():
                self._value = self._write(tx)
        except Exception as error:
            if is_fault(error):
                raise
            self._error = error

    def tell(self) -> None:
        if self._error is None:
            self.answer.set_result(self._value)
        else:
            self.answer.set_exception(self._error)


class Work(NamedTuple):
    """What goes into one transaction."""

    texts: list[ConsoleText]
    outcomes: list[tuple[int, Outcome]]
    writes: list[Pending]

    @property
    def size(self) -> int:
        return len(self.texts) + len(self.outcomes) + len(self.writes)


class Journal:
    """A thread that writes for all others.

    ``write`` waits for the commit. ``finish`` and ``print`` do not: what they hand over is
    kept until it is committed, through failures of the disk, in the order it came.
    """

    def __init__(
        self,
        database: Database,
        statements: Statements,
        clock: Clock,
        rules: HostRules,
        *,
        on_commit: Callable[[Committed], None],
        measure: Callable[[Committed], None],
    ) -> None:
        self._database = database
        self._statements = statements
        self._clock = clock
        self._rules = rules
        self._on_commit = on_commit
        self._measure = measure
        # asked, on the journal's thread, what else goes into a transaction that leaves jobs ready
        self.along: Callable[[set[Executor]], Pending | None] = lambda _: None
        self._lock = Lock()
        self._wake = Condition(self._lock)
        # all below: any thread adds, the journal's thread takes; guarded by _lock
        self._texts: list[ConsoleText] = []
        self._outcomes: list[tuple[int, Outcome]] = []
        self._writes: list[Pending] = []
        self._due_at: float | None = None  # when texts and outcomes have waited long enough
        self._stopping = False
        self._closed = False
        self._alone = 0  # pieces of work to write one by one; the journal's thread only
        self._identity: tuple[int, int] | None = None  # of the open file; as _alone
        self._failure: str | None = None  # the journal's thread writes, any thread reads
        self._thread: Thread | None = None

    @property
    def failure(self) -> str | None:
        """Why the last commit failed; None if it did not."""
        return self._failure

    @property
    def pending(self) -> int:
        with self._lock:
            return len(self._texts) + len(self._outcomes) + len(self._writes)

    def start(self) -> None:
        """Safe twice."""
        if self._thread:
            return
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def stop(self, deadline_s: float) -> None:
        """Write what is waiting, then end. Safe twice and before ``start``."""
        with self._lock:
            self._stopping = True
            self._wake.notify()
        if self._thread:
            self._thread.join(deadline_s)
            if not self._thread.is_alive():
                self._thread = None
        with self._lock:
            self._closed = True

    def write(self, write: Write[T]) -> T:
        """Run ``write`` in the next transaction; returns its value once that is committed.

        Raises what ``write`` raised (its own changes are undone then), or StoreUnavailable if
        the transaction could not be committed: nothing of it has happened then.
        """
        return self.submit(write).result()

    def submit(self, write: Write[T]) -> Future[T]:
        """As ``write``, without waiting."""
        return self.enqueue(Pending(write))

    def enqueue(self, pending: Pending) -> Future[Any]:
        with self._lock:
            if self._stopping:
                raise StoreUnavailable("the store is closing")
            self._writes.append(pending)
            self._wake.notify()
        return pending.answer

    def finish(self, node: int, outcome: Outcome, *, more: bool = False) -> None:
        """``more``: other jobs of the batch are under way."""
        with self._lock:
            if self._closed:
                return  # a thread that returned late: its job went back with the node
            self._outcomes.append((node, outcome))
            self._write_by(monotonic() + (COMPANY_DELAY_S if more else OUTCOME_DELAY_S))

    def print(self, text: ConsoleText) -> None:
        with self._lock:
            if self._closed:
                return
            self._texts.append(text)
            self._write_by(monotonic() + CONSOLE_DELAY_S)

    def _write_by(self, moment: float) -> None:
        """What waits is to be written by then, or earlier. Call it with _lock held."""
        if self._due_at is None or moment < self._due_at:
            self._due_at = moment
            self._wake.notify()

    # --- the journal's own thread ---------------------------------------------------------

    def _run(self) -> None:
        connection: Connection | None = None
        while (work := self._gather()) is not None:
            try:
                connection = self._connected(connection)
                done = self._commit(connection, work)
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                _discard(connection)
                connection = None
                self._bear(work, error)
            else:
                if self._failure is not None:
                    log.warning("the store can be written again")
                    self._failure = None
                self._answer(work, done)
        _discard(connection)

    def _connected(self, connection: Connection | None) -> Connection:
        """The connection, if its file is still the one that others find."""
        identity = self._database.identity()
        if connection is not None and identity != self._identity:
            raise StoreUnavailable("the database was removed or replaced under the service")
        self._identity = identity
        return connection or self._database.writer()

    def _bear(self, work: Work, error: Exception) -> None:
        """A fault of the database is everyone's; any other error is that of one piece of work,
        which is found by writing them one by one."""
        if is_fault(error):
            self._refuse(work, error)
        elif work.size > 1:
            self._put_back(work)
            self._alone = work.size
        elif work.outcomes:
            ((node, outcome),) = work.outcomes
            told = {"job_key": outcome.key}
            log.error("an outcome can't be written", extra=told, exc_info=error)
            with self._lock:
                if outcome.error != UNWRITABLE:
                    self._outcomes.insert(0, (node, _unwritable(outcome)))
                    self._write_by(monotonic())
        else:
            log.error("a write failed", exc_info=error)
            for pending in work.writes:
                pending.answer.set_exception(error)

    def _put_back(self, work: Work) -> None:
        with self._lock:
            self._texts[:0] = work.texts
            self._outcomes[:0] = work.outcomes
            self._writes[:0] = work.writes
            if self._texts or self._outcomes:
                self._write_by(monotonic())

    def _gather(self) -> Work | None:
        """Wait for something to write; None when stopping and nothing is left."""
        with self._lock:
            while not self._due():
                if self._stopping:
                    return None
                self._wake.wait(self._patience())
            work = self._take_one() if self._alone else self._take()
            left = self._outcomes or self._texts
            self._due_at = monotonic() if left else None
            return work

    def _take(self) -> Work:
        writes = sorted(self._writes, key=lambda pending: pending.last)
        work = Work(self._texts, _some(self._outcomes), writes)
        del self._outcomes[: len(work.outcomes)]
        self._texts, self._writes = [], []
        return work

    def _take_one(self) -> Work:
        self._alone -= 1
        if self._texts:
            return Work([self._texts.pop(0)], [], [])
        if self._outcomes:
            return Work([], [self._outcomes.pop(0)], [])
        return Work([], [], [self._writes.pop(0)] if self._writes else [])

    def _due(self) -> bool:
        if self._writes or self._due_at is None:
            return bool(self._writes)
        return self._stopping or self._patience() == 0

    def _patience(self) -> float | None:
        return None if self._due_at is None else max(0.0, self._due_at - monotonic())

    def _commit(self, connection: Connection, work: Work) -> Committed:
        begun = monotonic()
        with connection.begin():
            tx = Transaction(connection, self._statements, self._clock, self._rules)
            write_console(tx, work.texts)
            for node, outcomes in _by_node(work.outcomes).items():
                finish(tx, outcomes, node=node)
            for pending in work.writes:
                pending.apply(tx)
            tx.settle()
            if tx.ready and (more := self.along(tx.ready)):
                work.writes.append(more)
                more.apply(tx)
            tx.complete()
        took_s = monotonic() - begun
        ended_jobs, ended_batches = told_of(tx.ended_jobs), list(tx.ended_batches.values())
        return Committed(ended_jobs, ended_batches, work.size, took_s, tx.touched)

    def _answer(self, work: Work, done: Committed) -> None:
        self._count(done)  # first: who is answered may ask for the numbers
        for pending in work.writes:
            pending.tell()
        self._on_commit(done)
        for batch in done.batches:
            _tell_of(batch)

    def _count(self, done: Committed) -> None:
        try:
            self._measure(done)
        except Exception:  # a number must not cost an outcome
            log.exception("a commit was not counted")

    def _refuse(self, work: Work, error: Exception) -> None:
        """Tell the waiters, keep what has no waiter, and pause: the disk may need a while."""
        reason = str(getattr(error, "orig", error))
        if self._failure is None:
            log.error("the store can't be written", extra={"reason": reason}, exc_info=error)
        self._failure = reason
        for pending in work.writes:
            refusal = StoreUnavailable(f"the store can't be written: {reason}")
            pending.answer.set_exception(refusal)
        self._put_back(work._replace(writes=[]))
        with self._lock:
            if self._stopping:
                # nobody is left to wait for the disk: these jobs will be run again
                self._texts, self._outcomes, self._due_at = [], [], None
            elif self._outcomes or self._texts:
                self._wake.wait(RETRY_S)


UNWRITABLE = json.dumps(
    error_json("bad_outcome", "the outcome of the job could not be stored", retryable=False)
)


def _unwritable(outcome: Outcome) -> Outcome:
    """What is stored instead of an outcome that the database does not take."""
    return outcome._replace(
        ending=Ending.FAILED, result=None, error=UNWRITABLE, not_before_ms=None, host_wish=None
    )


def _some(outcomes: list[tuple[int, Outcome]]) -> list[tuple[int, Outcome]]:
    """As many of the first as fit into one transaction; at least one."""
    total = 0
    for n, (_, outcome) in enumerate(outcomes):
        total += len(outcome.result or "") + len(outcome.error or "")
        if total > MOST_BYTES and n:
            return outcomes[:n]
    return outcomes[:]


def _tell_of(batch: EndedBatch) -> None:
    began_ms = batch.finished_ms if batch.started_ms is None else batch.started_ms
    told = {
        "batch_id": batch.id,
        "outcome": batch.outcome,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "cancelled": batch.cancelled,
        "elapsed_s": round((batch.finished_ms - began_ms) / 1000, 3),
    }
    log.info("batch ended", extra=told)


def _by_node(outcomes: list[tuple[int, Outcome]]) -> dict[int, list[Outcome]]:
    nodes = {node for node, _ in outcomes}
    return {node: [outcome for of, outcome in outcomes if of == node] for node in nodes}


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        try:
            connection.close()
        except DatabaseError:
            pass
