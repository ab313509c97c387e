"""Suspects: jobs under which a process has died too often for a chance.

They run in quarantine, each alone in its process. There a death has one possible cause, while a
job that only stood beside the culprit, or whose process was killed by someone, comes to its end.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, null, or_, select, text, update

from service.model import (
    MAX_INDEX_BITS,
    ClaimedBatch,
    ClaimedJob,
    Executor,
    JobState,
    PrintLock,
    batch_of,
)
from service.store.hosts import Parking
from service.store.schema import AT_HOME, SUSPECT, batches, jobs
from service.store.transaction import Transaction

QUARANTINE = "quarantine"
"""The ``wait_reason`` of a suspect that waits for a process of its own."""

BUSY_MS = 1_000
"""How long a suspect leaves a host alone that has all the visitors that it may have."""

LOOK = 10
"""How many suspects a claim looks at, if their hosts are busy."""


def any_waits(connection: Connection) -> bool:
    """Whether there is a suspect that may run now, but for its host."""
    return connection.execute(_first()).first() is not None


def claim_suspect(tx: Transaction, *, node: int) -> ClaimedJob | None:
    """Make the first suspect running that may, owned by ``node``. It is the node's only job.

    A batch whose jobs share something inside one process moves to the node with it, and can only
    do so while no other of its jobs runs; ``move_out`` lets it go on elsewhere.
    """
    tx.settle()
    if not tx.sql.is_node.run(tx.cursor, {"node": node}).fetchone():
        return None
    for row in tx.connection.execute(claimable().limit(LOOK)).all():
        parking = tx.hosts.enter(row.host) if row.host else None
        if parking is None:
            return _claimed(tx, row, node)
        _put_off(tx, row, parking)
    return None


def move_out(tx: Transaction, *, node: int) -> None:
    """The node is home to no batch any more."""
    tx.settle()
    statement = update(batches).where(text(AT_HOME), batches.c.home == node)
    tx.connection.execute(statement.values(home=null()))


@cache  # an idle service asks again and again, and to build it takes longer than to answer
def _first() -> Select[Any]:
    return claimable().limit(1)


def claimable() -> Select[Any]:
    """Queued suspects, and those that were set aside: not those that wait for a moment."""
    states = (JobState.QUEUED.value, JobState.WAITING.value)
    return (
        select(jobs, *(batches.c[name] for name in ("id", "executor", "lock", "max_workers")))
        .add_columns(batches.c.pinned)
        .join(batches, batches.c.key == jobs.c.key.op(">>")(MAX_INDEX_BITS))
        .where(
            text(SUSPECT),
            jobs.c.state.in_(states),
            or_(jobs.c.state == JobState.QUEUED.value, jobs.c.due_ms.is_(None)),
            batches.c.cancel_requested == 0,
            batches.c.running < batches.c.width,
            or_(batches.c.pinned == 0, batches.c.running == 0),
        )
        # + 0: or else SQLite looks through all jobs, in the order of their keys
        .order_by(jobs.c.key + 0)
    )


def _put_off(tx: Transaction, row: Row[Any], parking: Parking) -> None:
    """Its host is busy: it waits for the moment that is known, or looks again soon."""
    entry = tx.ledger.batch(batch_of(row.key))
    if entry is None:
        return
    due_ms = parking.due_ms or tx.now_ms + BUSY_MS
    tx.sql.park_jobs.run(tx.cursor, {"rows": json.dumps([(row.key, parking.reason, due_ms)])})
    if row.state == JobState.QUEUED:
        entry.waiting += 1


def _claimed(tx: Transaction, row: Row[Any], node: int) -> ClaimedJob | None:
    entry = tx.ledger.batch(batch_of(row.key))
    if entry is None:
        return None
    taken = {"rows": json.dumps([row.key]), "owner": node, "now": tx.now_ms, "claimed": tx.now_ms}
    tx.sql.claim_jobs.run(tx.cursor, taken)
    entry.count(JobState(row.state), -1)
    entry.count(JobState.RUNNING, 1)
    entry.live += 1
    entry.live_claimed_ms += tx.now_ms
    entry.started_ms = entry.started_ms or tx.now_ms
    if row.pinned:
        entry.home = node
    executor, lock = Executor(row.executor), PrintLock(row.lock)
    return ClaimedJob(
        row.key,
        row.attempt + 1,
        row.type,
        row.params,
        row.timeout_s,
        row.max_attempts,
        row.failures,
        row.crashes,
        row.host,
        row.queued_ms,
        tx.now_ms,
        ClaimedBatch(entry.key, row.id, executor, lock, row.max_workers),
    )
