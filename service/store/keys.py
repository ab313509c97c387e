"""API keys as they are kept: whom they name, and what tells that a secret is the right one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, exists, func, insert, select, update
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import IntegrityError

from service.errors import NameTaken, NotFound
from service.store.database import Database
from service.store.prepared import Prepared
from service.store.schema import batches, idempotency, keys, labels, tombstones

NO_OWNER = 0
"""The owner of what was made without a key."""

ADOPT_PIECE = 1_000
"""Batches that change hands in one transaction, so that a running service gets its turn."""


_ID = re.compile("[0-9]{1,18}")


class Found(NamedTuple):
    """What a request's key id leads to."""

    hash: str | None  # of the secret; None for a key that is unknown or revoked
    any_made: bool  # whether there has ever been a key


class KeyLookup:
    """Finds a key, once a request: prepared once for a database."""

    def __init__(self, dialect: Dialect) -> None:
        live = keys.c.id == bindparam("key"), keys.c.revoked_ms.is_(None)
        found = select(keys.c.hash).where(*live).scalar_subquery()
        self._find = Prepared(select(found, exists(select(keys.c.id))), dialect)

    def find(self, database: Database, key_id: int) -> Found:
        secret_hash, any_made = database.look_up(self._find, {"key": key_id})
        return Found(secret_hash, bool(any_made))


def any_made(connection: Connection) -> bool:
    """Whether there has ever been a key: revoked ones count."""
    return connection.execute(select(keys.c.id).limit(1)).scalar() is not None


def list_keys(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(select(keys).order_by(keys.c.id)).all()


def add(
    connection: Connection,
    *,
    name: str,
    secret_hash: str,
    max_queued_jobs: int | None,
    batches_per_minute: int | None,
    now_ms: int,
) -> int:
    """Make a key; returns its id, never used before. Raises NameTaken."""
    row = {
        "name": name,
        "hash": secret_hash,
        "created_ms": now_ms,
        "max_queued_jobs": max_queued_jobs,
        "batches_per_minute": batches_per_minute,
    }
    try:
        return int(connection.execute(insert(keys).values(row)).lastrowid)
    except IntegrityError:
        raise NameTaken(
            f"there is a key {name!r} already: revoke it, or take another name"
        ) from None


def revoke(connection: Connection, name_or_id: str, *, now_ms: int) -> int:
    """End a live key; returns its id. Raises NotFound."""
    live = keys.c.revoked_ms.is_(None)
    is_id = _ID.fullmatch(name_or_id)
    named = keys.c.id == int(name_or_id) if is_id else keys.c.name == name_or_id
    statement = update(keys).where(named, live).values(revoked_ms=now_ms).returning(keys.c.id)
    key_id = connection.execute(statement).scalar()
    if key_id is None:
        raise NotFound(f"there is no live key {name_or_id!r}")
    return int(key_id)


def adopt_piece(connection: Connection, key_id: int) -> int:
    """Give a key some of what was made without one; returns how many batches, 0 at the end."""
    some = select(batches.c.key).where(batches.c.owner == NO_OWNER).limit(ADOPT_PIECE)
    adopted = list(connection.execute(some).scalars())
    queued = connection.execute(
        select(func.coalesce(func.sum(batches.c.queued), 0)).where(batches.c.key.in_(adopted))
    ).scalar_one()
    for table, column in ((batches, batches.c.key), (labels, labels.c.batch_key)):
        connection.execute(update(table).where(column.in_(adopted)).values(owner=key_id))
    connection.execute(
        update(keys).where(keys.c.id == key_id).values(queued=keys.c.queued + queued)
    )
    for table in (idempotency, tombstones):
        ownerless = table.c.owner == NO_OWNER
        connection.execute(update(table).where(ownerless).values(owner=key_id))
    return len(adopted)
