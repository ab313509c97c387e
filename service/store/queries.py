"""Reading. Every page is by key, so the last page costs what the first does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select

from service.errors import Expired, NotFound
from service.model import BatchStatus, JobState, job_key
from service.store.schema import (
    SEQ_BITS,
    attempts,
    batches,
    console,
    gauges,
    jobs,
    labels,
    nodes,
    tombstones,
)
from service.store.submits import Accepted


class BatchFilter(NamedTuple):
    """Which batches a list shows; None does not filter."""

    status: str | None = None
    outcome: str | None = None
    name: str | None = None
    label: tuple[str, str] | None = None
    created_after_ms: int | None = None


def find_batch(connection: Connection, batch_id: str, now_ms: int) -> Row[Any]:
    """The batch's row. Raises Expired once its time is over, NotFound for an unknown id."""
    row = connection.execute(
        select(batches).where(
            batches.c.id == batch_id, batches.c.status != BatchStatus.STAGING.value
        )
    ).one_or_none()
    if row is None:
        gone = select(tombstones.c.batch_id).where(tombstones.c.batch_id == batch_id)
        if connection.execute(gone).scalar() is not None:
            raise Expired(f"batch {batch_id} has expired")
        raise NotFound(f"there is no batch {batch_id}")
    if row.expires_ms is not None and row.expires_ms <= now_ms:
        raise Expired(f"batch {batch_id} has expired")
    return row


def batch_by_key(connection: Connection, key: int) -> Row[Any]:
    return connection.execute(select(batches).where(batches.c.key == key)).one()


def list_batches(
    connection: Connection, wanted: BatchFilter, *, before: int | None, limit: int, now_ms: int
) -> Sequence[Row[Any]]:
    """Batches newest first, those before the key ``before``; expired ones are not shown."""
    statement = select(batches).where(
        batches.c.status != BatchStatus.STAGING.value,
        batches.c.expires_ms.is_(None) | (batches.c.expires_ms > now_ms),
    )
    if wanted.label:
        name, value = wanted.label
        statement = statement.join(labels, labels.c.batch_key == batches.c.key).where(
            labels.c.name == name, labels.c.value == value
        )
    for column, equal in (
        (batches.c.status, wanted.status),
        (batches.c.outcome, wanted.outcome),
        (batches.c.name, wanted.name),
    ):
        if equal is not None:
            statement = statement.where(column == equal)
    if wanted.created_after_ms is not None:
        statement = statement.where(batches.c.created_ms > wanted.created_after_ms)
    if before is not None:
        statement = statement.where(batches.c.key < before)
    return connection.execute(statement.order_by(batches.c.key.desc()).limit(limit)).all()


def list_jobs(
    connection: Connection, batch_key: int, *, after: int, limit: int, status: str | None
) -> Sequence[Row[Any]]:
    """A batch's jobs in submission order, from index ``after + 1``."""
    statement = select(jobs).where(
        jobs.c.key.between(job_key(batch_key, after + 1), job_key(batch_key + 1, 0) - 1)
    )
    statement = _with_status(statement, status)
    return connection.execute(statement.order_by(jobs.c.key).limit(limit)).all()


def _with_status(statement: Select[Any], status: str | None) -> Select[Any]:
    """``status`` is as clients see it: waiting is queued, a flagged running one cancelling."""
    if status is None:
        return statement
    if status == "queued":
        either = (JobState.QUEUED.value, JobState.WAITING.value)
        return statement.where(jobs.c.state.in_(either))
    if status in ("running", "cancelling"):
        flag = int(status == "cancelling")
        return statement.where(jobs.c.state == JobState.RUNNING.value, jobs.c.cancelling == flag)
    return statement.where(jobs.c.state == status)


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


def console_page(
    connection: Connection, batch_key: int, *, after: int, limit: int
) -> Sequence[Row[Any]]:
    """Pieces of a batch's console in the order printed, from place ``after + 1``."""
    low, high = batch_key << SEQ_BITS | (after + 1), ((batch_key + 1) << SEQ_BITS) - 1
    statement = select(console).where(console.c.key.between(low, high))
    return connection.execute(statement.order_by(console.c.key).limit(limit)).all()


def console_of_job(
    connection: Connection, key: int, *, after: int, limit: int
) -> Sequence[Row[Any]]:
    """As ``console_page``, for one job; ``after`` is a console key."""
    statement = select(console).where(console.c.job_key == key, console.c.key > after)
    return connection.execute(statement.order_by(console.c.key).limit(limit)).all()


class QueueState(NamedTuple):
    """The queue of the whole service, and how many processes serve it."""

    queued: int
    oldest_queued_ms: int | None
    nodes: int


def queue_state(connection: Connection) -> QueueState:
    queued = connection.execute(
        select(gauges.c.value).where(gauges.c.name == "queued")
    ).scalar_one()
    active = [s.value for s in (BatchStatus.QUEUED, BatchStatus.RUNNING)]
    oldest = connection.execute(
        select(func.min(batches.c.created_ms)).where(
            batches.c.status.in_(active), batches.c.queued > 0
        )
    ).scalar()
    count = connection.execute(select(func.count()).select_from(nodes)).scalar_one()
    return QueueState(queued, oldest, count)


def cancelling_jobs(connection: Connection, node: int) -> list[int]:
    """Keys of this node's running jobs that someone asked to stop."""
    statement = select(jobs.c.key).where(
        jobs.c.state == JobState.RUNNING.value, jobs.c.owner == node, jobs.c.cancelling == 1
    )
    return list(connection.execute(statement).scalars())


def live_nodes(connection: Connection) -> dict[int, str]:
    return {row.key: row.lock for row in connection.execute(select(nodes.c.key, nodes.c.lock))}


def labels_of(batch: Row[Any] | Accepted) -> dict[str, str]:
    found: dict[str, str] = json.loads(batch.labels)
    return found


def console_place(row: Row[Any]) -> int:
    """Where in its batch's console a piece stands."""
    return int(row.key) & ((1 << SEQ_BITS) - 1)


def result_seq(job: Row[Any]) -> int | None:
    """The job's number in the order of completion; None while it has not ended."""
    return None if job.finish_key is None else int(job.finish_key) & ((1 << SEQ_BITS) - 1)
