"""The migrations and the tables that statements are written against are the same."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from service.store.database import Database
from service.store.schema import metadata
from service.store.suspects import claimable


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


def test_who_looks_for_suspects_looks_at_no_other_job(tmp_path: Path) -> None:
    """Each process does so several times a second, whatever there is in the queue."""
    database = Database(tmp_path / "a.db")
    database.upgrade()
    statement = claimable().compile(
        dialect=database.dialect, compile_kwargs={"literal_binds": True}
    )
    with database.snapshot() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
    database.close()
    steps = [row[3] for row in plan]
    assert any("jobs USING INDEX jobs_suspect" in step for step in steps), steps
    assert not any("SCAN" in step for step in steps), steps
