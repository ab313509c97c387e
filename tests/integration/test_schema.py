"""The migrations and the tables that statements are written against are the same."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from service.store.database import Database
from service.store.schema import metadata


def test_migrating_an_empty_file_makes_the_schema(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db")
    database.upgrade()
    database.upgrade()
    with database.snapshot() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrated = _ddl(connection)
    database.close()
    engine = create_engine(f"sqlite:///{tmp_path}/b.db")
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert migrated == _ddl(connection)
    engine.dispose()


def _ddl(connection: object) -> dict[str, str]:
    rows = connection.execute(  # type: ignore[attr-defined]
        text("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    )
    return {
        name: " ".join(sql.replace('"', "").split())
        for name, sql in rows
        if name != "alembic_version"
    }


def test_a_202_is_synced(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db")
    database.upgrade()
    with database.writer() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.close()
