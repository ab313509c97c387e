"""What the service says of itself: job types, threads and limits, health."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, request

from service.api import query
from service.api.context import operations
from service.api.present import presented
from service.api.problems import problem
from service.api.submission import MAX_ATTEMPTS, MAX_TIMEOUT_S, MAX_WORKERS

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
def list_job_types() -> Response:
    query.refuse_unknown(request, ())
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
def show_executor() -> Response:
    query.refuse_unknown(request, ())
    state = operations().health.executor_state()
    settings = operations().settings
    limits = {name: getattr(settings, name) for name in LIMITS}
    limits |= {
        "max_timeout_s": MAX_TIMEOUT_S,
        "max_attempts": MAX_ATTEMPTS,
        "max_workers": MAX_WORKERS,
    }
    view = {
        "threads": state.threads._asdict(),
        "queued": state.queued,
        "oldest_wait_s": state.oldest_wait_s,
        "processes": state.nodes,
        "limits": limits,
    }
    return presented(view, headers={"Cache-Control": "no-store"})


@blueprint.get("/healthz")
def live() -> Response:
    return presented({"status": "ok"})


@blueprint.get("/readyz")
def ready() -> Response:
    reason = operations().health.unready()
    if reason:
        headers = {"Retry-After": "5"}
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", reason, headers=headers)
    return presented({"status": "ready"})
