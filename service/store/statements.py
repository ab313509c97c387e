"""The statements of the hot paths, prepared once for a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    Subquery,
    TextClause,
    bindparam,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.engine import Dialect

from service.store.bulk import as_json_rows, each_row, field, fields
from service.store.gauges import GaugeStatements
from service.store.hosts import HostStatements
from service.store.ledger import LedgerStatements
from service.store.prepared import Prepared, PreparedForRows
from service.store.schema import (
    CLAIMABLE,
    QUEUED,
    batches,
    console,
    jobs,
    labels,
    nodes,
)
from service.store.submitting import SubmitStatements

JOB_ROW = ("type", "params", "custom_id", "timeout_s", "max_attempts", "host")
PARK_ROW = ("key", "wait_reason", "due_ms")
CONSOLE_ROW = ("key", "job_key", "start", "text")
FINISH_ROW = (
    "key",
    "attempt",
    "state",
    "result",
    "error",
    "thread",
    "started_ms",
    "finished_ms",
    "cpu_us",
    "finish_key",
)
"""Of an Outcome, whose ending is the state; and what is its place among those that ended."""
OR_EMPTY = frozenset({"result", "error", "cpu_us"})
"""Of these fields, which of an Outcome may be None: empty texts then."""


class Statements:
    """Prepared statements; immutable, so threads may share them."""

    def __init__(self, dialect: Dialect) -> None:
        self.ledger = LedgerStatements(dialect)
        self.submits = SubmitStatements(dialect)
        self.insert_jobs = Prepared(_insert_jobs(), dialect)
        self.insert_label = Prepared(
            insert(labels).values({c.name: bindparam(c.name) for c in labels.c}), dialect
        )
        self.insert_console = Prepared(_insert_console(), dialect)
        self.claimable_batches = Prepared(_claimable_batches(), dialect)
        is_node = select(nodes.c.key).where(nodes.c.key == bindparam("node"))
        self.is_node = Prepared(is_node, dialect)
        self.claimable_jobs = Prepared(_claimable_jobs(), dialect)
        self.claim_jobs = Prepared(_claim_jobs(), dialect)
        self.park_jobs = Prepared(_park_jobs(), dialect)
        self.wake_jobs = Prepared(_wake_jobs(), dialect)
        self.hosts = HostStatements(dialect)
        self.gauges = GaugeStatements(dialect)
        self.finish_jobs = PreparedForRows(FINISH_ROW, _finish, dialect)


def _insert_jobs() -> Executable:
    """Rows as JOB_ROW; their keys follow from ``base`` and their place."""
    given = fields(*JOB_ROW)
    values = {
        "key": bindparam("base") + literal_column("v.key"),
        "state": literal_column("'queued'"),
        "queued_ms": bindparam("now"),
        **given,
    }
    return insert(jobs).from_select(list(values), select(*values.values()).select_from(each_row))


def _insert_console() -> Executable:
    rows = select(*fields(*CONSOLE_ROW).values()).select_from(each_row)
    return insert(console).from_select(list(CONSOLE_ROW), rows)


def open_to(
    node: ColumnElement[int], executor: ColumnElement[str]
) -> list[ColumnElement[bool] | TextClause]:
    """Of which batches a node may claim jobs for an executor."""
    return [
        text(CLAIMABLE),
        batches.c.executor == executor,
        batches.c.running < batches.c.width,
        or_(batches.c.home.is_(None), batches.c.home == node),
    ]


def _claimable_batches() -> Select[Any]:
    columns = (
        batches.c.key,
        batches.c.id,
        batches.c.lock,
        batches.c.max_workers,
        batches.c.pinned,
        batches.c.width - batches.c.running,
        batches.c.queued - batches.c.waiting,
        batches.c.priority,
    )
    return (
        select(*columns)
        .where(*open_to(bindparam("owner"), bindparam("executor")))
        .order_by(batches.c.priority.desc(), batches.c.turn, batches.c.key)
        .limit(bindparam("most"))
    )


def _claimable_jobs() -> Executable:
    """As one JSON text; then the most crashes that one of them has had, and how many of them
    visit a host."""
    chosen = (
        select(jobs)
        .where(
            text(QUEUED),
            jobs.c.key.between(bindparam("first"), bindparam("last")),
        )
        .order_by(jobs.c.key)
        .limit(bindparam("most"))
        .subquery()
    )
    return select(
        as_json_rows(
            chosen.c.key,
            chosen.c.attempt + 1,
            chosen.c.type,
            chosen.c.params,
            chosen.c.timeout_s,
            chosen.c.max_attempts,
            chosen.c.failures,
            chosen.c.crashes,
            chosen.c.host,
            chosen.c.queued_ms,
        ),
        func.max(chosen.c.crashes),
        func.count(chosen.c.host),
    )


def _claim_jobs() -> Executable:
    """``rows`` are the keys."""
    return (
        update(jobs)
        .where(jobs.c.key.in_(select(each_row.c.value)))
        .values(
            state="running",
            owner=bindparam("owner"),
            attempt=jobs.c.attempt + 1,
            claimed_ms=bindparam("claimed"),
            started_ms=bindparam("now"),
            wait_reason=null(),
            thread=null(),
            finished_ms=null(),
            cpu_us=null(),
        )
    )


def _park_jobs() -> Executable:
    """Rows as PARK_ROW: claimable jobs whose host is busy."""
    place = {name: position for position, name in enumerate(PARK_ROW)}
    return (
        update(jobs)
        .where(jobs.c.key == field(place["key"]))
        .values(
            state="waiting",
            wait_reason=field(place["wait_reason"]),
            due_ms=field(place["due_ms"]),
        )
    )


def _wake_jobs() -> Executable:
    """``rows`` are the keys."""
    return (
        update(jobs)
        .where(jobs.c.key.in_(select(each_row.c.value)))
        .values(state="queued", wait_reason=null(), due_ms=null())
    )


def _finish(ends: Subquery) -> Executable:
    """``ends`` are FINISH_ROWs.

    The fence: a finish by anyone but the owner of this very attempt changes nothing.
    """
    its: dict[str, ColumnElement[Any]] = {
        name: func.nullif(ends.c[name], literal_column("''")) if name in OR_EMPTY else ends.c[name]
        for name in FINISH_ROW
    }
    return (
        update(jobs)
        .where(
            jobs.c.key == its.pop("key"),
            jobs.c.state == literal_column("'running'"),
            # + 0: or else SQLite looks through all running jobs for each row, by their index
            jobs.c.owner + 0 == bindparam("me"),
            jobs.c.attempt == its.pop("attempt"),
        )
        .values(its)
    )
