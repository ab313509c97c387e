"""/v1/jobs: one job by its public id, ``<batch id>.<index>``."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from service.api import parameters, query, streams
from service.api.batches import NO_STORE
from service.api.context import operations
from service.api.openapi import examples
from service.api.openapi.answers import Job, Result
from service.api.openapi.declare import Answer, documented
from service.api.present import job_view, presented, result_view, streamed
from service.errors import NotFound, ResultNotReady
from service.model import ENDED, ID_CHARS, MAX_INDEX_BITS
from service.operations.jobs import JobPage

blueprint = Blueprint("jobs", __name__, url_prefix="/v1/jobs")

_JOB_ID = re.compile(rf"([0-9A-Za-z]{{{ID_CHARS}}})\.(0|[1-9][0-9]{{0,8}})")


@blueprint.get("/<job_id>")
@documented({200: Answer("The job.", Job)})
def show_job(job_id: str) -> Response:
    """One job, with each of its attempts."""
    return _presented(operations().jobs.show(*_parts(job_id)))


@blueprint.get("/<job_id>/result")
@documented({200: Answer("How it ended.", Result)}, problems=(ResultNotReady,))
def show_result(job_id: str) -> Response:
    """What a job that has ended came to."""
    page = operations().jobs.show(*_parts(job_id))
    job = page.jobs[0]
    if job.state not in ENDED:
        raise ResultNotReady(f"job {job_id} is {job.state}; its result is not there yet")
    return presented(result_view(page.batch, job))


@blueprint.get("/<job_id>/console")
@documented(
    {200: Answer("Its lines so far.", texts={"text/plain": examples.CONSOLE})},
    query=(parameters.FOLLOW, parameters.AFTER_BYTES),
    problems=streams.PROBLEMS,
)
def show_job_console(job_id: str) -> Response:
    """What one job printed.

    With `follow` until the job has ended; a stream that is cut is resumed with `after`.
    """
    batch_id, index = _parts(job_id)
    after = query.after_of(request)
    if query.flag(request, parameters.FOLLOW):
        return streams.console_of_job(batch_id, index, after)
    text = operations().console.of_job(batch_id, index, after=after)
    return streamed(text, "text/plain")


@blueprint.post("/<job_id>/cancel")
@documented({202: Answer("The job as it now is.", Job), 200: Answer("It had ended.", Job)})
def cancel_job(job_id: str) -> Response:
    """Cancel one job; repeatable.

    One that runs is told to stop, and is `cancelling` until its thread returns.
    """
    batch_id, index = _parts(job_id)
    had_ended = operations().jobs.show(batch_id, index).jobs[0].state in ENDED
    return _presented(operations().jobs.cancel(batch_id, index), 200 if had_ended else 202)


def _presented(page: JobPage, status: int = 200) -> Response:
    job = page.jobs[0]
    view = job_view(page.batch, job, page.earlier.get(job.key, []))
    return presented(view, status, NO_STORE)


def _parts(job_id: str) -> tuple[str, int]:
    found = _JOB_ID.fullmatch(job_id)
    if not found or int(found[2]) >> MAX_INDEX_BITS:
        raise NotFound("there is no such job; a job's id is <batch id>.<index>")
    return found[1], int(found[2])
