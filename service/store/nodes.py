"""The processes that run jobs, and the rescue of what a dead one left behind."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, null, select, text, update

from service.model import Ending, JobState, Outcome, batch_of, error_json
from service.store.finishes import end_job, finish, keep_attempt, leave_running
from service.store.ledger import Entry
from service.store.schema import AT_HOME, RUNNING, SUSPECT_CRASHES, batches, jobs, nodes
from service.store.transaction import Transaction

DOUBT = 5
"""A job that may have been hit by chance is given so many times the crashes after which one is
failed: a limit all the same, for one that always takes down the whole service."""


class Rescued(NamedTuple):
    """What a rescue found: jobs back in the queue, and jobs failed as ``crashed``."""

    requeued: int
    failed: int


def register(tx: Transaction, *, pid: int, boot_id: str, lock: str) -> int:
    """A new node; returns its key, never used before."""
    row = {
        "pid": pid,
        "boot_id": boot_id,
        "lock": lock,
        "started_ms": tx.now_ms,
        "heartbeat_s": tx.steady_s,
    }
    return int(tx.connection.execute(insert(nodes).values(row)).lastrowid)


def beat(tx: Transaction, node: int) -> bool:
    """Say that the node lives. False if it has been taken for dead meanwhile."""
    statement = update(nodes).where(nodes.c.key == node).values(heartbeat_s=tx.steady_s)
    return tx.connection.execute(statement).rowcount == 1


def rescue(
    tx: Transaction,
    dead: Collection[int],
    *,
    max_crashes: int,
    silent_before_s: float | None = None,
    alone: str | None = None,
) -> Rescued:
    """Put dead nodes' running jobs back, fail those that crashed too often, forget the nodes.

    With ``silent_before_s`` a node that has beaten since is let live. ``alone`` says how a process
    ended that had one job, and that nobody but the job can have ended: then its crashes are held
    against it. The crash counts as an attempt to look at, not one of ``max_attempts``.
    """
    requeued = failed = 0
    # up to two crashes nothing is done to find out
    certain = alone is not None or max_crashes <= SUSPECT_CRASHES
    most = max_crashes if certain else max_crashes * DOUBT
    for node in dead:
        if silent_before_s is not None and _has_beaten(tx, node, silent_before_s):
            continue
        for row in _bury(tx, node):
            if _rescue_job(tx, row, node, most, alone):
                requeued += 1
            else:
                failed += 1
    return Rescued(requeued, failed)


def leave(tx: Transaction, node: int) -> None:
    """The node stops in good order: what it still owns goes back, its attempt not charged."""
    for job in _bury(tx, node):
        error = error_json("handed_back", "the service was stopping", retryable=True)
        outcome = _end_of_attempt(tx, job)._replace(
            ending=Ending.HANDED_BACK, error=json.dumps(error)
        )
        finish(tx, [outcome], node=node)


def _has_beaten(tx: Transaction, node: int, since_s: float) -> bool:
    statement = select(nodes.c.key).where(nodes.c.key == node, nodes.c.heartbeat_s >= since_s)
    return tx.connection.execute(statement).scalar() is not None


def _bury(tx: Transaction, node: int) -> list[Any]:
    """Forget the node, free what it held; returns the jobs that it still owns.

    What it had received in part of a batch is nobody's then, and swept away.
    """
    tx.settle()
    tx.connection.execute(delete(nodes).where(nodes.c.key == node))
    tx.connection.execute(
        update(batches).where(text(AT_HOME), batches.c.home == node).values(home=null())
    )
    return _running_jobs(tx, node)


def _running_jobs(tx: Transaction, node: int) -> list[Any]:
    statement = select(
        jobs.c.key,
        jobs.c.attempt,
        jobs.c.crashes,
        jobs.c.cancelling,
        jobs.c.claimed_ms,
        jobs.c.queued_ms,
        jobs.c.started_ms,
        jobs.c.thread,
        jobs.c.host,
        jobs.c.type,
    ).where(text(RUNNING), jobs.c.owner == node)
    return list(tx.connection.execute(statement.order_by(jobs.c.key)).all())


def _rescue_job(tx: Transaction, job: Any, node: int, most: int, alone: str | None) -> bool:
    entry = tx.ledger.batch(batch_of(job.key))
    if entry is None:
        return False
    crashes = job.crashes + 1
    outcome = _crash(tx, job, crashes, alone)
    if job.cancelling or entry.cancel_requested:
        end_job(tx, entry, outcome._replace(error=None), Ending.CANCELLED, node=node)
        return False
    if crashes >= most:
        tx.connection.execute(update(jobs).where(jobs.c.key == job.key).values(crashes=crashes))
        end_job(tx, entry, outcome, Ending.FAILED, node=node)
        return False
    keep_attempt(tx, outcome, queued_ms=job.queued_ms, node=node)
    _back_to_queue(tx, entry, outcome, crashes)
    return True


def _crash(tx: Transaction, job: Any, crashes: int, alone: str | None) -> Outcome:
    times = "once" if crashes == 1 else f"{crashes} times"
    detail = f"the process that ran it died under it, {times} so far"
    if alone:
        detail += f"; this time it was alone there, and the process ended with {alone}"
    error = error_json("crashed", detail, retryable=True, crashes=crashes)
    return _end_of_attempt(tx, job)._replace(error=json.dumps(error))


def _end_of_attempt(tx: Transaction, job: Any) -> Outcome:
    """What is known of an attempt whose thread can't tell: that it has ended by now."""
    return Outcome(
        key=job.key,
        attempt=job.attempt,
        claimed_ms=job.claimed_ms,
        ending=Ending.FAILED,
        result=None,
        error=None,
        thread=job.thread or "",
        started_ms=job.started_ms,
        finished_ms=max(tx.now_ms, job.started_ms),
        cpu_us=None,
        concurrent=0,
        host=job.host,
        type=job.type,
        queued_ms=job.queued_ms,
    )


def _back_to_queue(tx: Transaction, entry: Entry, outcome: Outcome, crashes: int) -> None:
    tx.connection.execute(
        update(jobs)
        .where(jobs.c.key == outcome.key)
        .values(
            state=JobState.QUEUED.value,
            owner=null(),
            queued_ms=tx.now_ms,
            started_ms=null(),
            thread=null(),
            crashes=crashes,
        )
    )
    entry.count(JobState.QUEUED, 1)
    leave_running(tx, entry, [outcome])
