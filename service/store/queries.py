"""Reading what is known by its id or key, and the queue as a whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, func, select
from sqlalchemy.engine import Dialect, result_tuple

from service.errors import Expired, NotFound
from service.model import BatchStatus
from service.store.database import Database
from service.store.keys import NO_OWNER
from service.store.prepared import Prepared
from service.store.schema import (
    SEQ_BITS,
    attempts,
    batches,
    gauges,
    jobs,
    nodes,
    tombstones,
)
from service.store.submitting import Accepted

# made once: to build it costs more than to run it, and each poll does
_BATCH_OF_OWNER = select(batches).where(
    batches.c.id == bindparam("batch_id"),
    # + 0: looked up by its id, not among all of the owner's
    batches.c.owner + 0 == bindparam("owner"),
    batches.c.status != BatchStatus.STAGING.value,
)


def find_batch(
    connection: Connection, batch_id: str, now_ms: int, owner: int = NO_OWNER
) -> Row[Any]:
    """The batch's row. Raises Expired once its time is over, NotFound for an unknown id, and
    just so for one of another owner."""
    asked = {"batch_id": batch_id, "owner": owner}
    row = connection.execute(_BATCH_OF_OWNER, asked).one_or_none()
    if row is None:
        gone = select(tombstones.c.batch_id).where(
            tombstones.c.batch_id == batch_id, tombstones.c.owner == owner
        )
        if connection.execute(gone).scalar() is not None:
            raise Expired(f"batch {batch_id} has expired")
        raise NotFound(f"there is no batch {batch_id}")
    if row.expires_ms is not None and row.expires_ms <= now_ms:
        raise Expired(f"batch {batch_id} has expired")
    return row


class BatchLookup:
    """Finds a batch for a poll, at a third of a snapshot's cost: prepared once for a database."""

    def __init__(self, dialect: Dialect) -> None:
        self._find = Prepared(_BATCH_OF_OWNER, dialect)
        self._row = result_tuple([column.name for column in batches.c])

    def find(self, database: Database, batch_id: str, now_ms: int, owner: int) -> Row[Any]:
        """As ``find_batch``. Raises StoreUnavailable as well."""
        found = database.look_up(self._find, {"batch_id": batch_id, "owner": owner})
        if found is not None:
            row = self._row(found)
            if row.expires_ms is None or row.expires_ms > now_ms:
                return row
        with database.snapshot() as connection:
            return find_batch(connection, batch_id, now_ms, owner)  # it knows why not


def find_job(connection: Connection, key: int) -> Row[Any] | None:
    return connection.execute(select(jobs).where(jobs.c.key == key)).one_or_none()


def attempts_of(connection: Connection, keys: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """The earlier attempts of jobs, by job key, in order."""
    if not keys:
        return {}
    statement = select(attempts).where(attempts.c.job_key.in_(keys))
    found: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(statement.order_by(attempts.c.job_key, attempts.c.n)):
        found.setdefault(row.job_key, []).append(row)
    return found


class QueueState(NamedTuple):
    """The queue of the whole service, and how many processes serve it."""

    queued: int
    oldest_queued_ms: int | None
    nodes: int


def probe(connection: Connection) -> None:
    """Read something: raises if nothing can be read."""
    connection.execute(select(gauges.c.value).limit(1)).scalar()


def queue_state(connection: Connection) -> QueueState:
    queued = connection.execute(
        select(gauges.c.value).where(gauges.c.name == "queued")
    ).scalar_one()
    oldest = [
        connection.execute(
            select(batches.c.created_ms)
            .where(batches.c.status == status.value, batches.c.queued > 0)
            .order_by(batches.c.key)
            .limit(1)
        ).scalar()
        for status in (BatchStatus.QUEUED, BatchStatus.RUNNING)
    ]
    count = connection.execute(select(func.count()).select_from(nodes)).scalar_one()
    return QueueState(queued, min((ms for ms in oldest if ms is not None), default=None), count)


def labels_of(batch: Row[Any] | Accepted) -> dict[str, str]:
    found: dict[str, str] = json.loads(batch.labels)
    return found


def result_seq(job: Row[Any]) -> int | None:
    """The job's number in the order of completion; None while it has not ended."""
    return None if job.finish_key is None else int(job.finish_key) & ((1 << SEQ_BITS) - 1)
