"""The statements of the hot paths, prepared once for a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Executable, Select, and_, bindparam, insert, null, or_, select, text, update
from sqlalchemy.engine import Dialect

from service.model import Executor
from service.store.ledger import LedgerStatements
from service.store.prepared import Prepared
from service.store.schema import CLAIMABLE, SUSPECT, batches, console, jobs, labels


class Statements:
    """Prepared statements; immutable, so threads may share them."""

    def __init__(self, dialect: Dialect) -> None:
        self.ledger = LedgerStatements(dialect)

        self.insert_job = Prepared(
            insert(jobs).values(
                {
                    name: bindparam(name)
                    for name in (
                        "key",
                        "state",
                        "type",
                        "params",
                        "custom_id",
                        "timeout_s",
                        "max_attempts",
                        "queued_ms",
                    )
                }
            ),
            dialect,
        )
        self.insert_label = Prepared(
            insert(labels).values({c.name: bindparam(c.name) for c in labels.c}), dialect
        )
        self.insert_console = Prepared(
            insert(console).values({c.name: bindparam(c.name) for c in console.c}), dialect
        )

        self.claimable_batches = Prepared(_claimable_batches(), dialect)
        self.claim_jobs = Prepared(_claim_jobs(f"NOT ({SUSPECT})"), dialect)
        self.claim_suspects = Prepared(_claim_jobs(SUSPECT), dialect)
        self.suspects = Prepared(_suspects(), dialect)
        self.finish_job = Prepared(_finish_job(), dialect)


def _claimable_batches() -> Select[Any]:
    wanted = or_(
        *(
            and_(batches.c.executor == executor.value, bindparam(executor.value) > 0)
            for executor in Executor
        )
    )
    return (
        select(
            batches.c.key,
            batches.c.id,
            batches.c.executor,
            batches.c.lock,
            batches.c.max_workers,
            batches.c.pinned,
            batches.c.width - batches.c.running,
            batches.c.queued - batches.c.waiting,
            batches.c.priority,
        )
        .where(
            text(CLAIMABLE),
            batches.c.running < batches.c.width,
            or_(batches.c.home.is_(None), batches.c.home == bindparam("owner")),
            wanted,
        )
        .order_by(batches.c.priority.desc(), batches.c.turn, batches.c.key)
        .limit(bindparam("most"))
    )


def _suspects() -> Executable:
    """Which states the suspects are in: none, most of the time."""
    return (
        select(jobs.c.state)
        .where(text(SUSPECT), or_(jobs.c.state == "queued", jobs.c.state == "running"))
        .distinct()
    )


def _claim_jobs(which: str) -> Executable:
    chosen = (
        select(jobs.c.key)
        .where(
            text("state = 'queued'"),
            text(which),
            jobs.c.key.between(bindparam("first"), bindparam("last")),
        )
        .order_by(jobs.c.key)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    return (
        update(jobs)
        .where(jobs.c.key.in_(chosen.scalar_subquery()))
        .values(
            state="running",
            owner=bindparam("owner"),
            attempt=jobs.c.attempt + 1,
            started_ms=bindparam("now"),
            wait_reason=null(),
            thread=null(),
            finished_ms=null(),
            cpu_us=null(),
        )
        .returning(
            jobs.c.key,
            jobs.c.attempt,
            jobs.c.type,
            jobs.c.params,
            jobs.c.timeout_s,
            jobs.c.max_attempts,
            jobs.c.failures,
            jobs.c.crashes,
        )
    )


def _finish_job() -> Executable:
    """The fence: a finish by anyone but the owner of this very attempt changes nothing."""
    return (
        update(jobs)
        .where(
            jobs.c.key == bindparam("job"),
            jobs.c.state == "running",
            jobs.c.owner == bindparam("me"),
            jobs.c.attempt == bindparam("n"),
        )
        .values(
            {
                name: bindparam(name)
                for name in (
                    "state",
                    "result",
                    "error",
                    "thread",
                    "started_ms",
                    "finished_ms",
                    "cpu_us",
                    "finish_key",
                )
            }
        )
    )
