"""One write transaction, as the writes of this room see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from service.clock import Clock
from service.model import EndedBatch, EndedJobs, Executor, Outcome, batch_of
from service.store.bulk import rows_of
from service.store.gauges import TURN, Gauges
from service.store.hosts import HostLedger, HostRules
from service.store.ledger import Ledger
from service.store.statements import Statements


class Transaction:
    """What the journal hands to each write. Valid until the journal commits.

    ``connection`` is for Core, ``cursor`` the same connection's bare driver for hot paths.
    """

    def __init__(
        self, connection: Connection, statements: Statements, clock: Clock, rules: HostRules
    ) -> None:
        self.connection = connection
        self.sql = statements
        self.cursor: Any = connection.connection.cursor()
        self.now_ms = clock.now_ms()
        self.steady_s = clock.steady_s()
        self.touched: set[str] = set()  # batches whose counts, status or console it changed
        self.ended_batches: dict[str, EndedBatch] = {}
        # of one that ran, its last outcome: what is told of it is made after the commit, when the
        # next writer need not wait for that
        self.ended_jobs: list[EndedJobs | Outcome] = []
        self.parked = 0  # jobs that were sent to wait for their host
        self.ready: set[Executor] = set()  # for which batches it touched have jobs to be claimed
        self._rules = rules
        self.gauges = Gauges(self.sql.gauges, self.cursor)
        self._open_ledgers()

    def _open_ledgers(self) -> None:
        self.ledger = Ledger(self.sql.ledger, self.cursor, self.gauges, self.now_ms)
        self.hosts = HostLedger(self.sql.hosts, self.cursor, self._rules, self.now_ms)

    def settle(self) -> None:
        """Write the counters back, so that what follows can query them."""
        for host, places in self.hosts.settle().items():
            self.wake(self.hosts.parked(host, places))
        self.ready |= self.ledger.settle()
        self.touched |= self.ledger.touched
        self.ended_batches |= self.ledger.ended

    def complete(self) -> None:
        """Settle for the last time. The commit is to follow."""
        self.settle()
        self.gauges.write()

    def next_turn(self) -> int:
        """Comes after all turns before, which the time does not when a clock is set back."""
        return self.gauges.add(TURN, 1)

    def wake(self, keys: list[int]) -> None:
        """Waiting jobs may be claimed from now on."""
        if keys:
            self.sql.wake_jobs.run(self.cursor, {"rows": rows_of(keys)})
        for batch_key, count in Counter(map(batch_of, keys)).items():
            entry = self.ledger.batch(batch_key)
            if entry:
                entry.waiting -= count

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what happens inside if it raises, and leave the rest of the transaction whole."""
        self.settle()
        ended_before, gauges_before = len(self.ended_jobs), self.gauges.remember()
        self.cursor.execute("SAVEPOINT one_write")
        try:
            yield
            self.settle()
        except BaseException:
            self.cursor.execute("ROLLBACK TO one_write")
            self.gauges.restore(gauges_before)
            self._open_ledgers()
            del self.ended_jobs[ended_before:]
            raise
        finally:
            self.cursor.execute("RELEASE one_write")
