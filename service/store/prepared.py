"""Statements for hot paths: written in SQLAlchemy Core, run on the bare driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Executable, Label, Subquery, literal_column, select, text
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

    def values(self, binds: Mapping[str, Any], *, after: int) -> list[Any]:
        """Those that are bound behind the first so many, which ``binds`` need not have."""
        named = {**self._fixed, **binds}
        return [named[name] for name in (self._names or ())[after:]]

    def _row(self, binds: Mapping[str, Any]) -> Any:
        if self._fixed:
            binds = {**self._fixed, **binds}
        return tuple([binds[name] for name in self._names]) if self._names else binds


MOST_ROWS = 1_024
"""Of one execution: SQLite takes 32,766 values."""


class PreparedForRows:
    """A statement over many rows, whose every value is bound: a third faster than if they came as
    JSON (see ``bulk``). For a driver that binds by place, as sqlite3 does.

    There is one text for each power of two, and rows of zeros fill up what is left: they must
    match nothing. No value should be None, which sqlite3 takes ten times as long to bind.
    """

    def __init__(
        self, names: Sequence[str], statement: Callable[[Subquery], Executable], dialect: Dialect
    ) -> None:
        """``statement`` is made over the rows, a table with these columns. All other values are
        bound after theirs."""
        row = f"({', '.join(f':its_{name}' for name in names)})"
        # as SQLite and PostgreSQL name them
        columns: list[Label[Any]] = [
            literal_column(f"column{n}").label(name) for n, name in enumerate(names, 1)
        ]
        rows = select(*columns).select_from(text(f"(VALUES {row})")).subquery("v")
        self._one = Prepared(statement(rows), dialect)
        self._filling = [0] * len(names)
        self._of_more = cache(self._text)

    def run(self, cursor: Any, rows: Sequence[Sequence[Any]], binds: Mapping[str, Any]) -> int:
        """Execute for all of them; returns how many rows were changed."""
        others, changed = self._one.values(binds, after=len(self._filling)), 0
        for start in range(0, len(rows), MOST_ROWS):
            some = rows[start : start + MOST_ROWS]
            size = 1 << (len(some) - 1).bit_length()
            bound = [value for row in some for value in row]
            bound += self._filling * (size - len(some))
            changed += cursor.execute(self._of_more(size), [*bound, *others]).rowcount
        return changed

    def _text(self, size: int) -> str:
        row = f"({', '.join('?' * len(self._filling))})"
        return self._one.sql.replace(row, ", ".join([row] * size), 1)
