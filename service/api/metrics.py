"""/metrics, for Prometheus: numbers of the whole service, and nothing that a client sent."""

from __future__ import annotations

from flask import Blueprint, Response

from service.api.context import numbers, operations
from service.api.openapi.declare import Answer, documented
from service.errors import StoreUnavailable
from service.metrics.exposition import CONTENT_TYPE, exposition

blueprint = Blueprint("metrics", __name__)

EXAMPLE = 'jobspool_jobs_finished_total{status="succeeded",type="numbers"} 3.0\n'


@blueprint.get("/metrics")
@documented({200: Answer("Prometheus' text.", texts={"text/plain": EXAMPLE})}, any_query=True)
def show_metrics() -> Response:
    """Numbers of the whole service, for Prometheus."""
    text = exposition(numbers().board, _read())
    return Response(text, content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _read() -> dict[str, float]:
    """What the store knows; nothing if it can't be read now, which must not hide the rest."""
    health = operations().health
    health.measure()
    try:
        state = health.executor_state()
    except StoreUnavailable:
        return {}
    return {
        "jobspool_queue_depth": state.queued,
        "jobspool_oldest_wait_seconds": state.oldest_wait_s or 0.0,
        "jobspool_processes": state.nodes,
    }
