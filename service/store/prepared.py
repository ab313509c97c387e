"""Statements for hot paths: written in SQLAlchemy Core, run on the bare driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect


class Prepared:
    """A Core statement compiled once, for a driver's cursor.

    Core costs about 50 µs a call, whatever the statement does; a job has a budget of about
    60 µs in all. Binds are by name and have no type processing.
    """

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        self._names: tuple[str, ...] | None = (
            tuple(compiled.positiontup) if compiled.positiontup else None
        )
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, cursor: Any, binds: Mapping[str, Any]) -> Any:
        """Execute with the binds; returns the cursor."""
        return cursor.execute(self.sql, self._row(binds))

    def one(self, cursor: Any, binds: Mapping[str, Any]) -> Any:
        """Execute to the end; its first row, None without one."""
        return next(iter(self.run(cursor, binds).fetchall()), None)

    def run_many(self, cursor: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
        """Execute once for each row; returns the cursor, whose rowcount is the sum."""
        return cursor.executemany(self.sql, [self._row(row) for row in rows])

    def _row(self, binds: Mapping[str, Any]) -> Any:
        if self._fixed:
            binds = {**self._fixed, **binds}
        return tuple([binds[name] for name in self._names]) if self._names else binds
