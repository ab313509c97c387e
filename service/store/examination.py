"""A look through a database file that changes nothing in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote

from service.errors import StoreUnavailable
from service.store.database import known_schemas

STEPS = 100_000
"""Of SQLite's machine between two looks at the clock: some milliseconds."""

FLAWS = 5


class Examination(NamedTuple):
    schema: str | None
    newest: str
    known: bool
    damage: list[str] | None
    """Sentences of SQLite's; None if the time was over before the end."""


def examine(path: Path, *, most_s: float) -> Examination:
    """Read the whole file, while others may use it. Raises StoreUnavailable."""
    newest, *older = known_schemas()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            schema = _schema(connection)
            damage = _damage(connection, monotonic() + most_s)
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"{path} can't be read: {error}") from error
    return Examination(schema, newest, schema in (newest, *older), damage)


def _schema(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row and str(row[0])


def _damage(connection: sqlite3.Connection, until: float) -> list[str] | None:
    connection.set_progress_handler(lambda: monotonic() > until, STEPS)
    try:
        rows = connection.execute(f"PRAGMA quick_check({FLAWS})").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    return [str(row[0]) for row in rows if row[0] != "ok"]
