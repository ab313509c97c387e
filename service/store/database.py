"""The database file: opening, checking and migrating it, and connections to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool, QueuePool

from service.errors import StartRefused, StoreUnavailable
from service.store.prepared import Prepared

BUSY_PAUSE_S = 0.0003
"""Between two tries for one's turn to write."""

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another process's transaction. They last milliseconds."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # an acknowledged batch survives a power loss: the WAL is synced at every commit
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32000",
    "PRAGMA wal_autocheckpoint = 4000",
    # after a checkpoint the file gives back what is over this
    "PRAGMA journal_size_limit = 33554432",
)


class Database:
    """Connections to one database file. Holds nothing open until asked to.

    No connection may cross a fork: make one ``Database`` in each process.
    """

    def __init__(self, path: Path, *, readers: int = 32) -> None:
        self._path = path
        self._reading = self._engine("DEFERRED", QueuePool, pool_size=readers, max_overflow=64)
        self._writing = self._engine("IMMEDIATE", NullPool)
        self._making = self._engine("IMMEDIATE", NullPool, mode="rwc")

    @property
    def path(self) -> Path:
        return self._path

    @property
    def dialect(self) -> Any:
        return self._writing.dialect

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read transaction: everything read in it is from one moment.

        Raises StoreUnavailable if the database can't be read.
        """
        try:
            with self._reading.connect() as connection, connection.begin():
                yield connection
        except DatabaseError as error:
            raise StoreUnavailable(f"the store can't be read: {_reason(error)}") from error

    def look_up(self, statement: Prepared, binds: Mapping[str, Any]) -> Any:
        """The first row of one statement, None without one. A third of a snapshot's cost.

        Raises StoreUnavailable if the database can't be read.
        """
        connection = None
        try:
            connection = self._reading.raw_connection()
            return statement.one(connection.cursor(), binds)
        except (DatabaseError, sqlite3.DatabaseError) as error:
            raise StoreUnavailable(f"the store can't be read: {_reason(error)}") from error
        finally:
            if connection is not None:
                connection.close()

    def watch(self) -> Watch:
        """Notices commits of other processes and of this one's journal."""
        return Watch(self)

    def reader(self) -> Connection:
        return self._reading.connect()

    def writer(self) -> Connection:
        """A connection whose transactions are writers from their first statement.

        (A deferred transaction that turns into a writer fails at once when another process
        wrote in between, whatever the busy timeout says.)
        """
        return self._writing.connect()

    def close(self) -> None:
        self._reading.dispose()
        self._writing.dispose()
        self._making.dispose()

    def upgrade(self) -> None:
        """Bring the schema up to date. Raises StartRefused for a file that can't be used."""
        _refuse_lost_file(self._path)
        try:
            with self._making.connect() as connection:
                _refuse_damage(connection, self._path)
                _refuse_newer_schema(connection, self._path)
                connection.rollback()
                with connection.begin():
                    command.upgrade(_alembic(connection), "head")
        except DatabaseError as error:
            raise StartRefused(
                f"the database {self._path} can't be opened: {_reason(error)}. "
                "Restore it from a backup, or move it away to start with an empty one."
            ) from error

    def is_current(self) -> bool:
        """Whether ``upgrade`` would find nothing to do."""
        try:
            with self._reading.connect() as connection:
                found = MigrationContext.configure(connection).get_current_revision()
        except DatabaseError:
            return False
        return found == ScriptDirectory.from_config(_alembic()).get_current_head()

    def identity(self) -> tuple[int, int]:
        """Which file it is. Raises StoreUnavailable if there is none any more."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise StoreUnavailable(f"the database is gone: {error.strerror}") from error
        return found.st_dev, found.st_ino

    def _engine(self, begin: str, pool: type[Any], *, mode: str = "rw", **options: Any) -> Engine:
        """``rw``: only ``upgrade`` may make a file. An empty one in place of a lost one would
        answer 404 for all that was acknowledged."""
        engine = create_engine(
            f"sqlite:///file:{quote(str(self._path))}?mode={mode}&uri=true",
            poolclass=pool,
            connect_args={
                "timeout": BUSY_TIMEOUT_S,
                "isolation_level": None,
                "check_same_thread": False,
                "cached_statements": 256,
            },
            **options,
        )
        writes = begin == "IMMEDIATE"
        event.listen(engine, "connect", _configure_writer if writes else _configure)
        event.listen(engine, "begin", _begin_writing if writes else _begin_reading)
        return engine


class Watch:
    """Tells cheaply whether anyone wrote since the last look (SQLite's data_version)."""

    def __init__(self, database: Database) -> None:
        self._connection = database.reader()
        self._cursor: Any = self._connection.connection.cursor()
        self._seen: int | None = None

    def changed(self) -> bool:
        version = self._cursor.execute("PRAGMA data_version").fetchone()[0]
        changed = bool(version != self._seen)
        self._seen = version
        return changed

    def close(self) -> None:
        self._connection.close()


def known_schemas() -> list[str]:
    """The schemas that this version can read, or bring up to date. The newest comes first."""
    scripts = ScriptDirectory.from_config(_alembic())
    return [script.revision for script in scripts.walk_revisions()]


def is_fault(error: BaseException) -> bool:
    """Whether an error is the database's (disk, lock, damage) and not the statement's."""
    if isinstance(error, StoreUnavailable):
        return True
    cause = getattr(error, "orig", None) or error
    statements = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, statements)


def _begin_reading(connection: Connection) -> None:
    connection.connection.cursor().execute("BEGIN DEFERRED")


def _begin_writing(connection: Connection) -> None:
    """Wait for one's turn among the processes that write.

    SQLite would wait too, but in steps that grow to a tenth of a second, while transactions
    take a millisecond: two busy processes would spend most of their time asleep.
    """
    cursor: Any = connection.connection.cursor()
    until = monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(BUSY_PAUSE_S)
        else:
            return


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _configure_writer(connection: sqlite3.Connection, record: object) -> None:
    _configure(connection, record)
    connection.execute("PRAGMA busy_timeout = 0")  # _begin_writing waits instead


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", error))


def _alembic(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _refuse_lost_file(path: Path) -> None:
    """To make an empty database would throw away what is in the log."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and not path.exists():
        raise StartRefused(
            f"the database {path} is gone, and its log {log.name} is still there: some of what "
            "was acknowledged may be in it only. Put the database back beside it, or move the log "
            "away to start with an empty one."
        )


def _refuse_damage(connection: Connection, path: Path) -> None:
    # A whole integrity_check reads the whole file: minutes for a big one. This reads the schema
    # and a page of each table, which is where a torn or foreign file shows itself.
    tables = connection.exec_driver_sql(
        "SELECT name FROM sqlite_schema WHERE type = 'table'"
    ).scalars()
    for table in tables.all():
        connection.exec_driver_sql(f'SELECT * FROM "{table}" LIMIT 1').all()  # noqa: S608
    if connection.exec_driver_sql("PRAGMA freelist_count").scalar() is None:
        raise StartRefused(f"the database {path} is damaged")


def _refuse_newer_schema(connection: Connection, path: Path) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known_schemas():
        raise StartRefused(
            f"the database {path} was made by a newer jobspool (schema {current}); "
            "start that version, or use another data directory"
        )
