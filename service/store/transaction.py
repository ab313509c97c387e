"""One write transaction, as the writes of this room see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from service.clock import Clock
from service.store.ledger import Ledger
from service.store.statements import Statements


class Transaction:
    """What the journal hands to each write. Valid until the journal commits.

    ``connection`` is for Core, ``cursor`` the same connection's bare driver for hot paths.
    """

    def __init__(self, connection: Connection, statements: Statements, clock: Clock) -> None:
        self.connection = connection
        self.sql = statements
        self.cursor: Any = connection.connection.cursor()
        self.now_ms = clock.now_ms()
        self.steady_s = clock.steady_s()
        self.ended_batches: set[str] = set()
        self.ledger = Ledger(statements.ledger, self.cursor, self.now_ms)

    def settle(self) -> None:
        """Write the counters back, so that what follows can query them."""
        self.ledger.settle()
        self.ended_batches |= self.ledger.ended

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what happens inside if it raises, and leave the rest of the transaction whole."""
        self.settle()
        self.cursor.execute("SAVEPOINT one_write")
        try:
            yield
            self.settle()
        except BaseException:
            self.cursor.execute("ROLLBACK TO one_write")
            self.ledger = Ledger(self.sql.ledger, self.cursor, self.now_ms)
            raise
        finally:
            self.cursor.execute("RELEASE one_write")
