"""What the service says of itself: job types, threads and limits, health."""

from __future__ import annotations

from flask import Blueprint, Response

from service import __version__
from service.api.context import operations
from service.api.openapi.answers import ExecutorState, Health, JobTypes
from service.api.openapi.declare import Answer, documented
from service.api.present import presented
from service.api.submission import MAX_ATTEMPTS, MAX_TIMEOUT_S, MAX_WORKERS
from service.errors import NotReady

blueprint = Blueprint("about", __name__)

LIMITS = (
    "pool_size",
    "dedicated_limit",
    "job_timeout_s",
    "max_crashes",
    "max_body_bytes",
    "max_stream_bytes",
    "max_batch_jobs",
    "max_queued_jobs",
    "max_result_bytes",
    "max_console_bytes",
    "max_wait_s",
    "ttl_s",
    "idempotency_ttl_s",
)


@blueprint.get("/v1/job-types")
@documented({200: Answer("Each type with the JSON Schema of its params.", JobTypes)})
def list_job_types() -> Response:
    """What a job may do."""
    items = [
        {
            "name": job_type.name,
            "description": job_type.description,
            "params_schema": job_type.params_model.model_json_schema(),
            "example": {"type": job_type.name, "params": job_type.example},
        }
        for job_type in operations().catalogue
    ]
    return presented({"items": items, "next": None})


@blueprint.get("/v1/executor")
@documented({200: Answer("Threads, queue and limits.", ExecutorState)})
def show_executor() -> Response:
    """How busy the service is, and the limits in force."""
    state = operations().health.executor_state()
    settings = operations().settings
    limits = {name: getattr(settings, name) for name in LIMITS}
    limits |= {
        "max_timeout_s": MAX_TIMEOUT_S,
        "max_attempts": MAX_ATTEMPTS,
        "max_workers": MAX_WORKERS,
    }
    view = {
        "version": __version__,
        "threads": state.threads._asdict(),
        "queued": state.queued,
        "oldest_wait_s": state.oldest_wait_s,
        "processes": state.nodes,
        "limits": limits,
    }
    return presented(view, headers={"Cache-Control": "no-store"})


@blueprint.get("/healthz")
@documented({200: Answer("It is alive.", Health)}, any_query=True)
def live() -> Response:
    """Whether the process answers."""
    return presented({"status": "ok"})


@blueprint.get("/readyz")
@documented({200: Answer("It is ready.", Health)}, problems=(NotReady,), any_query=True)
def ready() -> Response:
    """Whether the service should get traffic: not while it drains or can't write."""
    reason = operations().health.unready()
    if reason:
        raise NotReady(reason)
    return presented({"status": "ready"})
