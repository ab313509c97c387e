"""The one writer of a process: what is waiting becomes one transaction, then one fsync."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from service.clock import Clock
from service.errors import StoreUnavailable
from service.model import ConsoleText, Outcome
from service.store.database import Database, is_fault
from service.store.finishes import finish, write_console
from service.store.hosts import HostRules
from service.store.statements import Statements
from service.store.transaction import Transaction

T = TypeVar("T")
Write = Callable[[Transaction], T]

CONSOLE_DELAY_S = 0.05
"""Printed text may wait this long for company: a line a commit would be a fsync a line."""

RETRY_S = 0.25
"""After a failed commit, before what could not be answered with an error is tried again."""

log = logging.getLogger(__name__)


class Pending:
    """A write that someone waits for. Its verdict is told only after the commit."""

    def __init__(self, write: Write[Any]) -> None:
        self._write = write
        self.answer: Future[Any] = Future()
        self._value: Any = None
        self._error: Exception | None = None

    def apply(self, tx: Transaction) -> None:
        """Run the write under its own savepoint. Raises only if the whole transaction is lost."""
        self._value = self._error = None
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
        on_commit: Callable[[set[str]], None],
    ) -> None:
        self._database = database
        self._statements = statements
        self._clock = clock
        self._rules = rules
        self._on_commit = on_commit
        self._wake = Condition()
        # all below: any thread adds, the journal's thread takes; guarded by _wake
        self._texts: list[ConsoleText] = []
        self._outcomes: list[tuple[int, Outcome]] = []
        self._writes: list[Pending] = []
        self._texts_since: float | None = None
        self._stopping = False
        self._failure: str | None = None  # the journal's thread writes, any thread reads
        self._thread: Thread | None = None

    @property
    def failure(self) -> str | None:
        """Why the last commit failed; None if it did not."""
        return self._failure

    @property
    def pending(self) -> int:
        with self._wake:
            return len(self._texts) + len(self._outcomes) + len(self._writes)

    def start(self) -> None:
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def stop(self, deadline_s: float) -> None:
        """Write what is waiting, then end. Safe twice and before ``start``."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread:
            self._thread.join(deadline_s)
            if not self._thread.is_alive():
                self._thread = None

    def write(self, write: Write[T]) -> T:
        """Run ``write`` in the next transaction; returns its value once that is committed.

        Raises what ``write`` raised (its own changes are undone then), or StoreUnavailable if
        the transaction could not be committed: nothing of it has happened then.
        """
        return self.submit(write).result()

    def submit(self, write: Write[T]) -> Future[T]:
        """As ``write``, without waiting."""
        pending = Pending(write)
        with self._wake:
            if self._stopping:
                raise StoreUnavailable("the store is closing")
            self._writes.append(pending)
            self._wake.notify()
        return pending.answer

    def finish(self, node: int, outcome: Outcome) -> None:
        with self._wake:
            self._outcomes.append((node, outcome))
            if len(self._outcomes) == 1:
                self._wake.notify()

    def print(self, text: ConsoleText) -> None:
        with self._wake:
            self._texts.append(text)
            if self._texts_since is None:
                self._texts_since = monotonic()
                self._wake.notify()

    # --- the journal's own thread ---------------------------------------------------------

    def _run(self) -> None:
        connection: Connection | None = None
        while (work := self._gather()) is not None:
            try:
                connection = connection or self._database.writer()
                ended = self._commit(connection, work)
            except Exception as error:  # noqa: BLE001 - whatever it is, the waiters get an answer
                _discard(connection)
                connection = None
                self._refuse(work, error)
            else:
                self._failure = None
                self._answer(work, ended)
        _discard(connection)

    def _gather(self) -> Work | None:
        """Wait for something to write; None when stopping and nothing is left."""
        with self._wake:
            while not self._due():
                if self._stopping and not self._texts:
                    return None
                self._wake.wait(self._patience())
            work = Work(self._texts, self._outcomes, self._writes)
            self._texts, self._outcomes, self._writes = [], [], []
            self._texts_since = None
            return work

    def _due(self) -> bool:
        if self._outcomes or self._writes:
            return True
        return bool(self._texts) and (self._stopping or self._patience() == 0)

    def _patience(self) -> float | None:
        if self._texts_since is None:
            return None
        return max(0.0, self._texts_since + CONSOLE_DELAY_S - monotonic())

    def _commit(self, connection: Connection, work: Work) -> set[str]:
        with connection.begin():
            tx = Transaction(connection, self._statements, self._clock, self._rules)
            write_console(tx, work.texts)
            for node, outcomes in _by_node(work.outcomes).items():
                finish(tx, outcomes, node=node)
            for pending in work.writes:
                pending.apply(tx)
            tx.settle()
        return tx.ended_batches

    def _answer(self, work: Work, ended: set[str]) -> None:
        for pending in work.writes:
            pending.tell()
        self._on_commit(ended)

    def _refuse(self, work: Work, error: Exception) -> None:
        """Tell the waiters, keep what has no waiter, and pause: the disk may need a while."""
        reason = str(getattr(error, "orig", error))
        if self._failure is None:
            log.error("the store can't be written: %s", reason, exc_info=error)
        self._failure = reason
        for pending in work.writes:
            refusal = StoreUnavailable(f"the store can't be written: {reason}")
            pending.answer.set_exception(refusal)
        with self._wake:
            self._texts[:0] = work.texts
            self._outcomes[:0] = work.outcomes
            if self._texts and self._texts_since is None:
                self._texts_since = monotonic()
            if self._stopping:
                # nobody is left to wait for the disk: these jobs will be run again
                self._texts, self._outcomes, self._texts_since = [], [], None
            elif self._outcomes or self._texts:
                self._wake.wait(RETRY_S)


def _by_node(outcomes: list[tuple[int, Outcome]]) -> dict[int, list[Outcome]]:
    grouped: dict[int, list[Outcome]] = {}
    for node, outcome in outcomes:
        grouped.setdefault(node, []).append(outcome)
    return grouped


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        try:
            connection.close()
        except DatabaseError:
            pass
