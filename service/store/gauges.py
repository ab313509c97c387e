"""The numbers that all batches share: in a transaction read once, and written once at its end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Dialect

from service.store.prepared import Prepared
from service.store.schema import gauges

QUEUED = "queued"
"""Jobs that are queued, of all batches."""

TURN = "turn"
"""The turns that batches have had."""


class GaugeStatements:
    """What gauges run, prepared once for a database."""

    def __init__(self, dialect: Dialect) -> None:
        self.read = Prepared(select(gauges.c.name, gauges.c.value), dialect)
        named = gauges.c.name == bindparam("gauge")
        self.write = Prepared(update(gauges).where(named).values(value=bindparam("now")), dialect)


class Gauges:
    """One transaction's view of them. Others can't change them: they wait for the transaction."""

    def __init__(self, statements: GaugeStatements, cursor: Any) -> None:
        self._statements = statements
        self._cursor = cursor
        self._read: dict[str, int] = {}
        self._now: dict[str, int] = {}

    def value(self, name: str) -> int:
        if not self._read:
            self._read = dict(self._statements.read.run(self._cursor, {}).fetchall())
            self._now = dict(self._read)
        return self._now[name]

    def add(self, name: str, change: int) -> int:
        """Returns the new value."""
        self._now[name] = self.value(name) + change
        return self._now[name]

    def remember(self) -> dict[str, int]:
        return dict(self._now)

    def restore(self, remembered: dict[str, int]) -> None:
        self._now = dict(remembered or self._read)

    def write(self) -> None:
        changed = [{"gauge": k, "now": v} for k, v in self._now.items() if v != self._read[k]]
        if changed:
            self._statements.write.run_many(self._cursor, changed)
