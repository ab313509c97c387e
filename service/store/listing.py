"""The list of batches, newest first, by filters that each have an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, select

from service.model import BATCH_ENDED, BatchStatus
from service.store.keys import NO_OWNER
from service.store.schema import batches, labels

FEW = 5_000
"""So many batches may be sorted for a page."""


class BatchFilter(NamedTuple):
    """Which batches a list shows: those that pass all of it; None does not filter."""

    status: str | None = None
    outcome: str | None = None
    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    created_after_ms: int | None = None


def list_batches(
    connection: Connection,
    wanted: BatchFilter,
    *,
    before: int | None,
    limit: int,
    now_ms: int,
    owner: int = NO_OWNER,
) -> Sequence[Row[Any]]:
    """The owner's batches newest first, those before the key ``before``; no expired ones."""
    statement = select(batches).where(
        *_passing(wanted, owner),
        batches.c.status != BatchStatus.STAGING.value,
        batches.c.expires_ms.is_(None) | (batches.c.expires_ms > now_ms),
    )
    key: ColumnElement[int] = batches.c.key
    if wanted.labels:
        key = labels.c.batch_key
        (name, value), *_ = wanted.labels
        statement = statement.join(labels, key == batches.c.key)
        labelled = labels.c.owner == owner, labels.c.name == name, labels.c.value == value
        statement = statement.where(*labelled)
    if before is not None:
        statement = statement.where(key < before)
    if wanted.created_after_ms is not None:
        statement = statement.where(
            _created_after(connection, wanted.created_after_ms, owner, before)
        )
    return connection.execute(statement.order_by(key.desc()).limit(limit)).all()


def _passing(wanted: BatchFilter, owner: int) -> list[ColumnElement[bool]]:
    """One condition is left to its index, the one that likely leaves fewest; the others are
    written so that they can't be: SQLite does not know which is which."""
    conditions = [_has_label(owner, name, value) for name, value in wanted.labels[1:]]
    served = bool(wanted.labels)
    conditions.append(batches.c.owner + 0 == owner if served else batches.c.owner == owner)
    equals = [(batches.c.name, wanted.name), (batches.c.outcome, wanted.outcome)]
    ended = wanted.status in BATCH_ENDED
    equals.insert(len(equals) if ended else 0, (batches.c.status, wanted.status))
    for column, equal in equals:
        if equal is not None:
            conditions.append(column.concat("") == equal if served else column == equal)
            served = True
    return conditions


def _has_label(owner: int, name: str, value: str) -> ColumnElement[bool]:
    other = labels.alias()
    having = select(other.c.batch_key).where(
        other.c.owner == owner,
        other.c.name == name,
        other.c.value == value,
        other.c.batch_key == batches.c.key,
    )
    return having.exists()


def _created_after(
    connection: Connection, moment_ms: int, owner: int, before: int | None
) -> ColumnElement[bool]:
    """Few that are so new are found by their time; of many, the next page is full at once."""
    newer = select(batches.c.key).where(batches.c.owner == owner, batches.c.created_ms > moment_ms)
    if before is not None:
        newer = newer.where(batches.c.key < before)
    few = connection.execute(newer.order_by(batches.c.created_ms).limit(FEW + 1)).scalars().all()
    if len(few) <= FEW:
        return batches.c.key.in_(few)
    return batches.c.created_ms + 0 > moment_ms
