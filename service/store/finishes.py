"""Writing down what running jobs came to, and what they printed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import insert, null, select, update

from service.model import (
    MAX_INDEX_BITS,
    ConsoleText,
    EndedJobs,
    Ending,
    JobState,
    Outcome,
    batch_of,
)
from service.store.bulk import rows_of
from service.store.ledger import Entry
from service.store.schema import SEQ_BITS, attempts, jobs
from service.store.statements import CONSOLE_ROW
from service.store.transaction import Transaction

JOB_KEY, TEXT = CONSOLE_ROW.index("job_key"), CONSOLE_ROW.index("text")


class Ends(NamedTuple):
    """Outcomes of jobs of one batch that are those jobs' last."""

    entry: Entry
    outcomes: list[Outcome]


_STATES = {
    Ending.SUCCEEDED: JobState.SUCCEEDED,
    Ending.FAILED: JobState.FAILED,
    Ending.CANCELLED: JobState.CANCELLED,
}
"""What a job is in for good, unless its outcome asks for another attempt."""


def told_of(ended: Sequence[EndedJobs | Outcome]) -> list[EndedJobs]:
    """What is told of jobs that ended, some of them known by the outcome that was their last."""
    alike = Counter(
        [
            (
                last.type,
                last.ending,
                last.finished_ms - last.started_ms,
                None if last.queued_ms is None else max(0, last.started_ms - last.queued_ms),
                last.error,
            )
            for last in ended
            if isinstance(last, Outcome)
        ]
    )
    return [
        *(jobs for jobs in ended if isinstance(jobs, EndedJobs)),
        *(
            EndedJobs(of_type, _STATES[ending], run_ms, queue_ms, error, number)
            for (of_type, ending, run_ms, queue_ms, error), number in alike.items()
        ),
    ]


def write_console(tx: Transaction, texts: Sequence[ConsoleText]) -> None:
    """Append to the consoles, in this order. Neighbours of one job become one row."""
    rows: list[list[Any]] = []  # as CONSOLE_ROW
    for key, text in texts:
        entry = tx.ledger.batch(batch_of(key))
        if entry is None:
            continue  # the batch was deleted under a thread that had not returned
        if rows and rows[-1][JOB_KEY] == key:
            rows[-1][TEXT] += text
        else:
            entry.console_seq += 1
            place = entry.key << SEQ_BITS | entry.console_seq
            rows.append([place, key, entry.console_bytes, text])
        entry.console_bytes += len(text) if text.isascii() else len(text.encode())
    if rows:
        tx.sql.insert_console.run(tx.cursor, {"rows": rows_of(rows)})


def finish(tx: Transaction, outcomes: Sequence[Outcome], *, node: int) -> None:
    """Record outcomes of this node's jobs.

    Each is fenced: if the job is no longer this node's, or is at another attempt, nothing
    changes and nobody is told; whoever has it now will finish it.
    """
    ends: list[Ends] = []
    for batch_key, its in _by_batch(outcomes).items():
        entry = tx.ledger.batch(batch_key)
        if entry is None:
            continue
        last, others = list[Outcome](), list[Outcome]()
        for one in its:
            is_last = one.ending in _STATES and one.not_before_ms is None
            (last if is_last else others).append(one)
        if last:
            ends.append(Ends(entry, last))
        for one in others:
            _requeue(tx, entry, one, node=node)
    if ends and not _end_all(tx, ends, node=node):
        for entry, last in ends:
            for outcome in last:
                _end(tx, entry, outcome, node=node)


def _by_batch(outcomes: Sequence[Outcome]) -> dict[int, list[Outcome]]:
    grouped: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        grouped[outcome.key >> MAX_INDEX_BITS].append(outcome)
    return grouped


def _end_all(tx: Transaction, ends: list[Ends], *, node: int) -> bool:
    """End all of them in one statement; if the fence keeps any out, change nothing: False."""
    rows = [row for entry, outcomes in ends for row in _finish_rows(entry, outcomes)]
    if not _run_all_finishes(tx, rows, node=node):
        return False
    for entry, outcomes in ends:
        _count_ends(tx, entry, outcomes)
    return True


def _run_all_finishes(tx: Transaction, rows: list[tuple[Any, ...]], *, node: int) -> bool:
    if len(rows) == 1:
        return _run_finishes(tx, rows, node=node) == 1
    tx.cursor.execute("SAVEPOINT ends")
    all_ended = _run_finishes(tx, rows, node=node) == len(rows)
    tx.cursor.execute(f"{'RELEASE' if all_ended else 'ROLLBACK TO'} ends")
    return all_ended


def _run_finishes(tx: Transaction, rows: list[tuple[Any, ...]], *, node: int) -> int:
    """Returns how many the fence let through."""
    return tx.sql.finish_jobs.run(tx.cursor, rows, {"me": node})


def end_job(tx: Transaction, entry: Entry, outcome: Outcome, ending: Ending, *, node: int) -> None:
    """End one job this way, whatever its outcome says, if it still is this node's."""
    _end(tx, entry, outcome._replace(ending=ending), node=node)


def _end(tx: Transaction, entry: Entry, outcome: Outcome, *, node: int) -> None:
    if _run_finishes(tx, _finish_rows(entry, [outcome]), node=node) == 1:
        _count_ends(tx, entry, [outcome])


def _finish_rows(entry: Entry, outcomes: Sequence[Outcome]) -> list[tuple[Any, ...]]:
    """As FINISH_ROW."""
    next_key = entry.key << SEQ_BITS | entry.finish_seq + 1
    return [
        (
            one.key,
            one.attempt,
            str(one.ending),
            one.result or "",
            one.error or "",
            one.thread,
            one.started_ms,
            one.finished_ms,
            "" if one.cpu_us is None else one.cpu_us,
            place,
        )
        for place, one in enumerate(outcomes, next_key)
    ]


def _count_ends(tx: Transaction, entry: Entry, outcomes: Sequence[Outcome]) -> None:
    entry.finish_seq += len(outcomes)
    for ending, count in Counter([one.ending for one in outcomes]).items():
        entry.count(_STATES[ending], count)
    leave_running(tx, entry, outcomes)
    tx.ended_jobs += outcomes


def leave_running(tx: Transaction, entry: Entry, outcomes: Sequence[Outcome]) -> None:
    """Count jobs of a batch out that ran, whatever becomes of them. One at least."""
    for outcome in outcomes:
        if outcome.host is not None:
            tx.hosts.leave(outcome.host, outcome.host_wish)
    entry.count(JobState.RUNNING, -len(outcomes))
    live_ms = [one.claimed_ms for one in outcomes if one.claimed_ms is not None]
    entry.live -= len(live_ms)
    entry.live_claimed_ms -= sum(live_ms)
    entry.run_ms += sum([one.finished_ms - one.started_ms for one in outcomes])
    entry.cpu_us += sum([one.cpu_us or 0 for one in outcomes])
    entry.peak = max(entry.peak, *[one.concurrent for one in outcomes])
    entry.finished_ms = max(entry.finished_ms or 0, *[one.finished_ms for one in outcomes])


def _requeue(tx: Transaction, entry: Entry, outcome: Outcome, *, node: int) -> None:
    """Another attempt is to follow, or this one did not count; unless the job was cancelled."""
    statement = select(jobs.c.queued_ms, jobs.c.failures, jobs.c.cancelling).where(
        jobs.c.key == outcome.key,
        jobs.c.state == JobState.RUNNING.value,
        jobs.c.owner == node,
        jobs.c.attempt == outcome.attempt,
    )
    row = tx.connection.execute(statement.with_for_update()).one_or_none()
    if row is None:
        return
    if row.cancelling or entry.cancel_requested:
        end_job(tx, entry, outcome, Ending.CANCELLED, node=node)
        return
    deferred = outcome.ending is Ending.DEFERRED
    if not deferred:
        keep_attempt(tx, outcome, queued_ms=row.queued_ms, node=node)
    due = outcome.not_before_ms
    state = JobState.QUEUED if due is None or due <= tx.now_ms else JobState.WAITING
    tx.connection.execute(
        update(jobs)
        .where(jobs.c.key == outcome.key)
        .values(
            state=state.value,
            owner=null(),
            due_ms=due,
            wait_reason=outcome.wait_reason if state is JobState.WAITING else None,
            # a deferred job did nothing yet: the attempt has not been made, and goes on waiting
            queued_ms=row.queued_ms if deferred else tx.now_ms,
            started_ms=null(),
            thread=null(),
            attempt=jobs.c.attempt - (1 if deferred else 0),
            failures=jobs.c.failures + (1 if outcome.ending is Ending.FAILED else 0),
        )
    )
    entry.count(state, 1)
    leave_running(tx, entry, [outcome])


def keep_attempt(tx: Transaction, outcome: Outcome, *, queued_ms: int, node: int) -> None:
    tx.connection.execute(
        insert(attempts).values(
            job_key=outcome.key,
            n=outcome.attempt,
            owner=node,
            thread=outcome.thread,
            queued_ms=queued_ms,
            started_ms=outcome.started_ms,
            finished_ms=outcome.finished_ms,
            cpu_us=outcome.cpu_us,
            error=outcome.error,
        )
    )
