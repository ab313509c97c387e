"""Writing down, of jobs that take longer than a moment, since when and on which thread they run.

A short job's end tells all that. To write its beginning too would cost as much as the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, select, text, update

from service.model import batch_of, job_key
from service.store.schema import RUNNING, batches, jobs
from service.store.transaction import Transaction


class Beginning(NamedTuple):
    """A job that has been on a thread for a while. ``concurrent`` is how many of its batch ran
    in its process at once, so far."""

    key: int
    attempt: int
    started_ms: int
    thread: str
    concurrent: int


_NOTE = (
    update(jobs)
    .where(
        jobs.c.key == bindparam("job"),
        text(RUNNING),
        jobs.c.owner + 0 == bindparam("node"),
        jobs.c.attempt == bindparam("its_attempt"),
    )
    .values(started_ms=bindparam("since"), thread=bindparam("its_thread"))
)


def note(tx: Transaction, beginnings: Sequence[Beginning], *, node: int) -> None:
    """Note those that still run, and raise their batches' peaks. Fenced, as a finish is."""
    rows = [
        {
            "job": one.key,
            "node": node,
            "its_attempt": one.attempt,
            "since": one.started_ms,
            "its_thread": one.thread,
        }
        for one in beginnings
    ]
    tx.connection.execute(_NOTE, rows)
    peaks: dict[int, int] = {}
    for one in beginnings:
        key = batch_of(one.key)
        peaks[key] = max(peaks.get(key, 0), one.concurrent)
    for key, peak in peaks.items():
        _raise_peak(tx, key, max(peak, _on_threads(tx, key)))


def _on_threads(tx: Transaction, batch_key: int) -> int:
    """How many of the batch's jobs are noted as running: in all processes, and at once."""
    first, last = job_key(batch_key, 0), job_key(batch_key + 1, 0) - 1
    # + 0: there are few running jobs, and there may be a million in the batch
    in_batch = (jobs.c.key + 0).between(first, last)
    noted = select(func.count()).where(text(RUNNING), jobs.c.thread.is_not(None), in_batch)
    return int(tx.connection.execute(noted).scalar_one())


def _raise_peak(tx: Transaction, batch_key: int, peak: int) -> None:
    """Only if it is higher: a batch that is touched gets a new version, and pollers an answer."""
    known = tx.connection.execute(select(batches.c.peak).where(batches.c.key == batch_key)).scalar()
    if known is not None and peak > max(known, 1) and (entry := tx.ledger.batch(batch_key)):
        entry.peak = max(entry.peak, peak)
