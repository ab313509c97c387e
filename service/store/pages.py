"""Pages of jobs and of console text: bounded in rows, in bytes, and in rows looked through.

Every page goes on behind a key, so the last page costs what the first does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    func,
    select,
    text,
    union_all,
)

from service.model import job_key
from service.store.lines import LINE, line_binds
from service.store.schema import (
    FINISHED,
    QUEUED,
    RUNNING,
    SEQ_BITS,
    UNHAPPY,
    WAITING,
    attempts,
    console,
    jobs,
)

PAGE_BYTES = 4 << 20
"""A page that is over it ends there, so a page may hold less than was asked for. A single row
may be larger: a result is."""

SCAN = 50_000
"""Jobs looked through for one page when no index tells which belong in it."""

ATTEMPT_BYTES = 300

MOST_SPANS = 10_000
"""Attempts on one page of a timeline."""

CODE_CHARS = 160
"""Of an error's text: its code stands first."""

_HEAD = (
    jobs.c.key,
    jobs.c.custom_id,
    jobs.c.type,
    jobs.c.state,
    jobs.c.cancelling,
    jobs.c.finish_key,
    jobs.c.error,
)
_RESULT = (*_HEAD, jobs.c.result)
_LINE = (jobs.c.key, jobs.c.finish_key, LINE.label("line"))


class Page(NamedTuple):
    """Rows, and the key behind which the next page begins; None after the last page."""

    rows: list[Row[Any]]
    end: int | None


def jobs_page(
    connection: Connection, batch_key: int, *, after: int, limit: int, status: str | None = None
) -> Page:
    """A batch's jobs in submission order, from index ``after + 1``.

    ``status`` is as clients see it: waiting is queued, a flagged running one cancelling.
    """
    first, last = job_key(batch_key, after + 1), job_key(batch_key + 1, 0) - 1
    if status == "succeeded":
        return _succeeded(connection, first, last, limit)
    return _page(connection, _of_status(status, first, last), limit, _job_bytes, most=PAGE_BYTES)


def results_page(connection: Connection, batch_key: int, *, after: int, limit: int) -> Page:
    """As ``jobs_page`` of all, with what a line of the results tells of them."""
    chosen = _in_order(_RESULT, batch_key, after)
    return _page(connection, chosen, limit, _result_bytes, most=PAGE_BYTES)


def lines_page(connection: Connection, batch: Row[Any], *, after: int, limit: int) -> Page:
    """As ``results_page``, but each job is its ``line`` already."""
    chosen = _in_order(_LINE, batch.key, after)
    binds = line_binds(batch.id)
    return _page(connection, chosen, limit, _line_bytes, most=PAGE_BYTES, binds=binds)


def _in_order(columns: tuple[ColumnElement[Any], ...], batch_key: int, after: int) -> Select[Any]:
    first, last = job_key(batch_key, after + 1), job_key(batch_key + 1, 0) - 1
    return select(*columns).where(jobs.c.key.between(first, last)).order_by(jobs.c.key)


def timeline_page(connection: Connection, batch_key: int, *, after: int, limit: int) -> Page:
    """When and where a batch's jobs ran last, in submission order, from index ``after + 1``.

    The earlier attempts of the page's jobs are no more than MOST_SPANS with it. Of an error
    there is only the beginning.
    """
    chosen = _in_order(_without(jobs, "params", "result"), batch_key, after)
    return _page(connection, chosen, limit, lambda job: max(1, int(job.attempt)), most=MOST_SPANS)


def timeline_attempts(connection: Connection, first: int, last: int) -> Sequence[Row[Any]]:
    """The earlier attempts of the jobs from one key to another, as ``timeline_page``."""
    within = attempts.c.job_key.between(first, last)
    chosen = select(*_without(attempts)).where(within).order_by(attempts.c.job_key, attempts.c.n)
    return connection.execute(chosen).all()


def _without(table: Table, *large: str) -> tuple[ColumnElement[Any], ...]:
    """A table's columns but the large ones; of its error the beginning, as far as CODE_CHARS."""
    start = func.substr(table.c.error, 1, CODE_CHARS).label("error")
    return (*(c for c in table.c if c.name not in (*large, "error")), start)


def finished_page(
    connection: Connection, batch: Row[Any], *, after: int, limit: int, results: bool
) -> Page:
    """A batch's ended jobs in the order in which they ended, behind the seq ``after``.

    As the ``line`` of each with ``results``, else with what such a line tells of it but for the
    result. The page's ``end`` is a seq.
    """
    low, high = batch.key << SEQ_BITS, ((batch.key + 1) << SEQ_BITS) - 1
    columns, weigh = (_LINE, _line_bytes) if results else (_HEAD, _head_bytes)
    chosen = (
        select(*columns)
        .where(text(FINISHED), jobs.c.finish_key.between(low + after + 1, high))
        .order_by(jobs.c.finish_key)
    )
    binds = line_binds(batch.id) if results else {}
    page = _page(connection, chosen, limit, weigh, most=PAGE_BYTES, binds=binds)
    return page._replace(end=page.rows[-1].finish_key - low) if page.end is not None else page


class Place(NamedTuple):
    """A place in a console: behind the piece with the key ``after``, and so many bytes on."""

    after: int
    skip: int


def console_place(connection: Connection, batch: Row[Any], position: int) -> Place | None:
    """Where so many bytes of a batch's console end; None if it is shorter. Found in as few
    steps as the logarithm of its pieces."""
    if position > batch.console_bytes:
        return None
    base = batch.key << SEQ_BITS

    def start(seq: int) -> int:
        found = select(console.c.start).where(console.c.key == base | seq)
        return int(connection.execute(found).scalar_one())

    seq = bisect_right(range(1, batch.console_seq + 1), position, key=start)
    return Place(base | seq - 1, position - start(seq)) if seq else Place(base, 0)


def console_place_of_job(connection: Connection, key: int, position: int) -> Place | None:
    """The same for one job, whose console is bounded: it is read up to there. None if it is
    shorter."""
    after, more = 0, True
    while more:
        rows, end = console_of_job(connection, key, after=after, limit=SCAN)
        for row in rows:
            size = len(row.text.encode())
            if position < size:
                return Place(after, position)
            position, after = position - size, row.key
        more = end is not None
    return None if position else Place(after, 0)


def console_page(connection: Connection, batch_key: int, *, after: int, limit: int) -> Page:
    """Pieces of a batch's console in the order printed; ``after`` is the key before, or 0."""
    low, high = batch_key << SEQ_BITS, ((batch_key + 1) << SEQ_BITS) - 1
    chosen = select(console).where(console.c.key.between(max(low, after + 1), high))
    return _page(connection, chosen.order_by(console.c.key), limit, _text_bytes, most=PAGE_BYTES)


def console_of_job(connection: Connection, key: int, *, after: int, limit: int) -> Page:
    """As ``console_page``, for one job."""
    chosen = select(console).where(console.c.job_key == key, console.c.key > after)
    return _page(connection, chosen.order_by(console.c.key), limit, _text_bytes, most=PAGE_BYTES)


def _page(
    connection: Connection,
    chosen: Select[Any],
    limit: int,
    weigh: Callable[[Row[Any]], int],
    *,
    most: int,
    binds: Mapping[str, str] = MappingProxyType({}),
) -> Page:
    rows: list[Row[Any]] = []
    weight = 0
    # the cursor reads a row when it is asked for it: what does not fit is never read
    with closing(connection.execute(chosen.limit(limit + 1), binds)) as found:
        for row in found:
            weight += weigh(row)
            if rows and (len(rows) == limit or weight > most):
                return Page(rows, rows[-1].key)
            rows.append(row)
    return Page(rows, None)


def _job_bytes(job: Row[Any]) -> int:
    texts = (job.params, job.result, job.error)
    weight: int = sum(len(one) for one in texts if one) + ATTEMPT_BYTES * (job.attempt + 1)
    return weight


def _head_bytes(job: Row[Any]) -> int:
    return len(job.error or "")


def _result_bytes(job: Row[Any]) -> int:
    return len(job.error or "") + len(job.result or "")


def _line_bytes(job: Row[Any]) -> int:
    return len(job.line)


def _text_bytes(piece: Row[Any]) -> int:
    return len(str(piece.text))


def _of_status(status: str | None, first: int, last: int) -> Select[Any]:
    """In order. States are written out, as in the indexes that then serve."""
    key: ColumnElement[int] = jobs.c.key
    if status in ("running", "cancelling"):
        # + 0: there are few running jobs and may be a million in the batch
        key = jobs.c.key + 0
        flag = int(status == "cancelling")
        chosen = select(jobs).where(text(RUNNING), jobs.c.cancelling == flag)
    elif status == "queued":
        within = key.between(first, last)
        both = union_all(*(select(jobs).where(text(one), within) for one in (QUEUED, WAITING)))
        rows = both.subquery()
        return select(rows).order_by(rows.c.key)
    elif status:
        chosen = select(jobs).where(text(UNHAPPY), jobs.c.state == status)
    else:
        chosen = select(jobs)
    return chosen.where(key.between(first, last)).order_by(key)


def _succeeded(connection: Connection, first: int, last: int, limit: int) -> Page:
    """Most jobs are: an index of them would cost each finish, so a page looks through a piece
    of the batch, and may be empty with more to come."""
    upto = min(last, first + SCAN - 1)
    chosen = select(jobs).where(jobs.c.state == "succeeded", jobs.c.key.between(first, upto))
    page = _page(connection, chosen.order_by(jobs.c.key), limit, _job_bytes, most=PAGE_BYTES)
    if page.end is None and _exists(connection, upto + 1, last):
        return page._replace(end=upto)
    return page


def _exists(connection: Connection, first: int, last: int) -> bool:
    found = select(func.min(jobs.c.key)).where(jobs.c.key.between(first, last))
    return connection.execute(found).scalar() is not None
