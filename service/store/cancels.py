"""Cancelling: what is queued ends at once, what runs is asked to stop."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, null, select, text, update

from service.model import BatchStatus, EndedJobs, JobState, job_key
from service.store.ledger import Entry
from service.store.schema import QUEUED, RUNNING, SEQ_BITS, WAITING, batches, jobs
from service.store.transaction import Transaction

PIECE = 10_000
"""Queued jobs cancelled in one transaction, so that others get their turn."""


class Cancelled(NamedTuple):
    """What a cancel did so far: call again while ``more``."""

    queued: int
    running: int
    more: bool


def cancel_batch(tx: Transaction, batch_key: int) -> Cancelled:
    """Cancel a piece of the batch's queued jobs and flag its running ones. Repeatable."""
    entry = tx.ledger.batch(batch_key)
    if entry is None or entry.ended or entry.status == BatchStatus.STAGING:
        return Cancelled(0, 0, more=False)
    if not entry.cancel_requested:
        entry.cancel_requested = 1
        _flag_running(tx, batch_key)
    ended = 0
    for state in (JobState.QUEUED, JobState.WAITING):
        ended += _cancel_piece(tx, entry, state, PIECE - ended)
    return Cancelled(ended, entry.running, more=entry.queued > 0)


def _flag_running(tx: Transaction, batch_key: int) -> None:
    """No more of its jobs can begin, so once is enough."""
    first, last = job_key(batch_key, 0), job_key(batch_key + 1, 0) - 1
    # + 0: there are few running jobs, and there may be a million in the batch
    in_batch = (jobs.c.key + 0).between(first, last)
    tx.connection.execute(update(jobs).where(text(RUNNING), in_batch).values(cancelling=1))


def unfinished_cancel(connection: Connection) -> int | None:
    """A batch whose cancel was interrupted between two pieces; None if there is none."""
    statement = select(batches.c.key).where(
        batches.c.status == BatchStatus.CANCELLING.value, batches.c.queued > 0
    )
    return connection.execute(statement.limit(1)).scalar()


def cancel_job(tx: Transaction, key: int, batch_key: int) -> str | None:
    """Cancel one job; returns the state it was in, None if there is no such job."""
    entry = tx.ledger.batch(batch_key)
    job = tx.connection.execute(
        select(jobs.c.state, jobs.c.type).where(jobs.c.key == key).with_for_update()
    ).one_or_none()
    if job is None or entry is None:
        return None
    state = job.state
    if state == JobState.RUNNING:
        tx.connection.execute(update(jobs).where(jobs.c.key == key).values(cancelling=1))
    elif state in (JobState.QUEUED, JobState.WAITING):
        _end_as_cancelled(tx, entry, JobState(state), [(key, job.type)])
    return str(state)


def _cancel_piece(tx: Transaction, entry: Entry, state: JobState, most: int) -> int:
    first, last = job_key(entry.key, 0), job_key(entry.key + 1, 0) - 1
    # in the words of the partial indexes
    where = text(QUEUED) if state is JobState.QUEUED else text(WAITING)
    found = tx.connection.execute(
        select(jobs.c.key, jobs.c.type)
        .where(where, jobs.c.key.between(first, last))
        .limit(max(0, most))
    )
    return _end_as_cancelled(tx, entry, state, [(key, of_type) for key, of_type in found])


_CANCEL = (
    update(jobs)
    .where(jobs.c.key == bindparam("job"))
    .values(
        state=JobState.CANCELLED.value,
        wait_reason=null(),
        due_ms=null(),
        finished_ms=bindparam("now"),
        finish_key=bindparam("place"),
    )
)


def _end_as_cancelled(
    tx: Transaction, entry: Entry, state: JobState, ended: list[tuple[int, str]]
) -> int:
    """``ended``: keys and types of jobs that are in this state."""
    rows: list[dict[str, Any]] = [
        {"job": key, "now": tx.now_ms, "place": entry.key << SEQ_BITS | entry.finish_seq + n}
        for n, (key, _) in enumerate(ended, 1)
    ]
    if rows:
        tx.connection.execute(_CANCEL, rows)
        entry.finished_ms = max(entry.finished_ms or 0, tx.now_ms)
    tx.ended_jobs += [
        EndedJobs(of_type, JobState.CANCELLED, number=number)
        for of_type, number in Counter(of_type for _, of_type in ended).items()
    ]
    entry.finish_seq += len(rows)
    entry.count(state, -len(rows))
    entry.count(JobState.CANCELLED, len(rows))
    return len(rows)
