"""The processes that run jobs, and the rescue of what a dead one left behind."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, null, select, update

from service.model import BatchStatus, Ending, JobState, Outcome, batch_of, error_json
from service.store.finishes import end_job, keep_attempt
from service.store.ledger import Entry
from service.store.schema import batches, jobs, nodes
from service.store.submits import abandon
from service.store.transaction import Transaction


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


def silent(connection: Connection, *, boot_id: str, before_s: float) -> list[int]:
    """Nodes of an earlier start of the machine, and those whose heartbeat is too old."""
    statement = select(nodes.c.key).where(
        (nodes.c.boot_id != boot_id) | (nodes.c.heartbeat_s < before_s)
    )
    return list(connection.execute(statement).scalars())


def rescue(tx: Transaction, dead: Collection[int], *, max_crashes: int) -> Rescued:
    """Put a dead node's running jobs back, fail those that crashed too often, forget the node.

    The crash counts as an attempt to look at, not one of ``max_attempts``.
    """
    requeued = failed = 0
    for node in dead:
        if tx.connection.execute(delete(nodes).where(nodes.c.key == node)).rowcount == 0:
            continue  # another node was faster
        _clear_home(tx, node)
        for row in _running_jobs(tx, node):
            if _rescue_job(tx, row, node, max_crashes):
                requeued += 1
            else:
                failed += 1
    return Rescued(requeued, failed)


def leave(tx: Transaction, node: int) -> None:
    """The node stops in good order, its jobs finished or handed back."""
    _clear_home(tx, node)
    tx.connection.execute(delete(nodes).where(nodes.c.key == node))


def _clear_home(tx: Transaction, node: int) -> None:
    tx.settle()
    staged = select(batches.c.key).where(
        batches.c.home == node, batches.c.status == BatchStatus.STAGING.value
    )
    for key in tx.connection.execute(staged).scalars().all():
        abandon(tx, key)
    tx.connection.execute(update(batches).where(batches.c.home == node).values(home=null()))


def _running_jobs(tx: Transaction, node: int) -> list[Any]:
    statement = select(
        jobs.c.key,
        jobs.c.attempt,
        jobs.c.crashes,
        jobs.c.cancelling,
        jobs.c.queued_ms,
        jobs.c.started_ms,
        jobs.c.host,
    ).where(jobs.c.state == JobState.RUNNING.value, jobs.c.owner == node)
    return list(tx.connection.execute(statement.order_by(jobs.c.key)).all())


def _rescue_job(tx: Transaction, job: Any, node: int, max_crashes: int) -> bool:
    entry = tx.ledger.batch(batch_of(job.key))
    if entry is None:
        return False
    crashes = job.crashes + 1
    outcome = _crash(tx, job, crashes)
    if job.cancelling or entry.cancel_requested:
        end_job(tx, entry, outcome._replace(error=None), JobState.CANCELLED, node=node)
        return False
    if crashes >= max_crashes:
        tx.connection.execute(update(jobs).where(jobs.c.key == job.key).values(crashes=crashes))
        end_job(tx, entry, outcome, JobState.FAILED, node=node)
        return False
    keep_attempt(tx, outcome, queued_ms=job.queued_ms)
    _back_to_queue(tx, entry, outcome, crashes)
    return True


def _crash(tx: Transaction, job: Any, crashes: int) -> Outcome:
    times = "once" if crashes == 1 else f"{crashes} times"
    detail = f"the process that ran it died under it, {times} so far"
    error = error_json("crashed", detail, retryable=True, crashes=crashes)
    return Outcome(
        key=job.key,
        attempt=job.attempt,
        claimed_ms=job.started_ms,
        ending=Ending.FAILED,
        result=None,
        error=json.dumps(error),
        thread="",
        started_ms=job.started_ms,
        finished_ms=max(tx.now_ms, job.started_ms),
        cpu_us=0,
        concurrent=0,
        host=job.host,
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
            crashes=crashes,
        )
    )
    if outcome.host is not None:
        tx.hosts.leave(outcome.host)
    entry.count(JobState.RUNNING, -1)
    entry.count(JobState.QUEUED, 1)
    entry.live_claimed_ms -= outcome.claimed_ms
