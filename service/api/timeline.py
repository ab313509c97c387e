"""/v1/batches/{id}/timeline: when and where its jobs ran."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, request

from service.api import parameters, query
from service.api.batches import MAX_INDEX, NO_STORE
from service.api.context import operations
from service.api.openapi.declare import Answer, documented
from service.api.openapi.headers import LINK
from service.api.openapi.timeline import TimelineOrTrace
from service.api.present import concurrency_view, presented, timestamp
from service.api.trace_events import trace
from service.operations.spans import Span, peak, rows_of, spread
from service.operations.timeline import Timeline
from service.store.pages import MOST_SPANS

blueprint = Blueprint("timeline", __name__, url_prefix="/v1/batches")


@blueprint.get("/<batch_id>/timeline")
@documented(
    {200: Answer("When and where its jobs ran.", TimelineOrTrace, headers=(LINK,))},
    query=(parameters.TIMELINE_FORMAT, parameters.TIMELINE_LIMIT, parameters.JOB_CURSOR),
)
def show_timeline(batch_id: str) -> Response:
    """Each attempt of a batch's jobs: when it ran, on which thread, how much CPU it used."""
    chosen = query.choice(request, parameters.TIMELINE_FORMAT)
    limit = query.limit_of(request, default=MOST_SPANS, most=MOST_SPANS)
    after = query.cursor_of(request, most=MAX_INDEX - 1)
    timeline = operations().timelines.page(
        batch_id, after=-1 if after is None else after, limit=limit
    )
    link, headers = query.next_page(request, timeline.end)
    now_ms = operations().now_ms()
    if chosen == "chrome-trace":
        return presented(trace(timeline, now_ms=now_ms), 200, {**NO_STORE, **headers})
    view = {**timeline_view(timeline, now_ms), "truncated": link is not None, "next": link}
    return presented(view, 200, {**NO_STORE, **headers})


def timeline_view(timeline: Timeline, now_ms: int) -> dict[str, Any]:
    """Times are milliseconds since the batch was created; the statistics are of these spans, the
    totals of the whole batch."""
    batch, spans = timeline.batch, timeline.spans
    return {
        "batch_id": batch.id,
        "origin_at": timestamp(batch.created_ms),
        **concurrency_view(batch, now_ms),
        "threads": [
            {
                "name": row.name,
                "process": row.process,
                "spans": [_span_view(batch.id, span, batch.created_ms) for span in row.spans],
            }
            for row in rows_of(spans)
        ],
        "statistics": _statistics(spans),
        "totals": {"run_ms": batch.run_ms, "cpu_ms": batch.cpu_us / 1000},
    }


def _span_view(batch_id: str, span: Span, origin_ms: int) -> dict[str, Any]:
    return {
        "job_id": f"{batch_id}.{span.index}",
        "index": span.index,
        "custom_id": span.custom_id,
        "type": span.type,
        "attempt": span.attempt,
        "status": span.status,
        "error": span.error,
        "queued_ms": span.queued_ms - origin_ms,
        "start_ms": span.started_ms - origin_ms,
        "end_ms": None if span.finished_ms is None else span.finished_ms - origin_ms,
        "cpu_ms": None if span.cpu_us is None else span.cpu_us / 1000,
    }


def _statistics(spans: list[Span]) -> dict[str, Any]:
    return {
        "attempts": len(spans),
        "peak": peak(spans),
        "queue_wait_ms": _spread_view(span.wait_ms for span in spans),
        "run_ms": _spread_view(span.run_ms for span in spans if span.run_ms is not None),
        "cpu_ms": _spread_view(span.cpu_us / 1000 for span in spans if span.cpu_us is not None),
    }


def _spread_view(values: Iterable[float]) -> dict[str, float] | None:
    found = spread(values)
    if found is None:
        return None
    return {name: round(value, 3) for name, value in found._asdict().items()}
