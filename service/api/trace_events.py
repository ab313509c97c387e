"""A timeline as a Chrome trace, which Perfetto and chrome://tracing open.

Trace Event Format (Google, "Trace Event Format", the JSON Object Format); ``ts`` and ``dur`` are
microseconds, here since the batch was created.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from service.operations.spans import Span, ThreadRow, levels, rows_of
from service.operations.timeline import Timeline

UNKNOWN_PROCESS = 0
"""A node's key is never 0."""

Event = dict[str, Any]


def trace(timeline: Timeline, *, now_ms: int) -> dict[str, Any]:
    """Each attempt is a slice on its thread; one that still runs is as long as it has run.

    The time that it was queued is an asynchronous slice, so that waits may overlap, and how many
    ran at once is a counter.
    """
    batch = timeline.batch
    return {
        "traceEvents": list(_events(timeline, now_ms)),
        "displayTimeUnit": "ms",
        "otherData": {"batch_id": batch.id, "truncated": timeline.end is not None},
    }


def _events(timeline: Timeline, now_ms: int) -> Iterator[Event]:
    batch, rows = timeline.batch, rows_of(timeline.spans)
    yield from _processes(rows)
    for tid, row in enumerate(rows, 1):
        yield from _named(row, tid)
        for span in row.spans:
            yield _run(batch.id, span, tid, batch.created_ms, now_ms)
            yield from _wait(batch.id, span, batch.created_ms)
    for moment_ms, level in levels(timeline.spans):
        yield {
            "ph": "C",
            "name": "running",
            "pid": UNKNOWN_PROCESS,
            "tid": 0,
            "ts": (moment_ms - batch.created_ms) * 1000,
            "args": {"jobs": level},
        }


def _processes(rows: Iterable[ThreadRow]) -> Iterator[Event]:
    pids = {row.process or UNKNOWN_PROCESS for row in rows}
    for pid in sorted(pids | {UNKNOWN_PROCESS}):
        name = f"jobspool process {pid}" if pid else "batch"
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}


def _named(row: ThreadRow, tid: int) -> Iterator[Event]:
    """Threads are shown in the order of their rows."""
    for what, args in (
        ("thread_name", {"name": row.name}),
        ("thread_sort_index", {"sort_index": tid}),
    ):
        pid = row.process or UNKNOWN_PROCESS
        yield {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args}


def _run(batch_id: str, span: Span, tid: int, origin_ms: int, now_ms: int) -> Event:
    end_ms = max(now_ms, span.started_ms) if span.finished_ms is None else span.finished_ms
    return {
        "ph": "X",
        "name": span.custom_id or f"{span.type} {span.index}",
        "cat": span.type,
        "pid": span.process or UNKNOWN_PROCESS,
        "tid": tid,
        "ts": (span.started_ms - origin_ms) * 1000,
        "dur": (end_ms - span.started_ms) * 1000,
        "args": {
            "job_id": f"{batch_id}.{span.index}",
            "attempt": span.attempt,
            "status": span.status,
            "error": span.error,
            "cpu_ms": None if span.cpu_us is None else span.cpu_us / 1000,
        },
    }


def _wait(batch_id: str, span: Span, origin_ms: int) -> Iterator[Event]:
    begun = min(span.queued_ms, span.started_ms)
    for phase, moment_ms in (("b", begun), ("e", span.started_ms)):
        yield {
            "ph": phase,
            "name": "queued",
            "cat": "queue",
            "id": f"{batch_id}.{span.index}/{span.attempt}",
            "pid": UNKNOWN_PROCESS,
            "tid": 0,
            "ts": (moment_ms - origin_ms) * 1000,
        }
