"""/v1/batches: submit, look, cancel, retry, remove."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from structlog.contextvars import bind_contextvars

from service.api import export, parameters, query, streams
from service.api.body import Body, parse_json
from service.api.context import operations, room
from service.api.flaws import Flaws
from service.api.openapi import answers, bodies, examples, links
from service.api.openapi.declare import Answer, RequestBody, documented
from service.api.openapi.headers import (
    ETAG,
    IDEMPOTENCY_REPLAYED,
    LINK,
    LOCATION,
    PREFERENCE_APPLIED,
    RATE_LIMIT,
    RETRY_AFTER,
    WAIT_REFUSED,
)
from service.api.present import (
    batch_path,
    batch_view,
    created_view,
    job_view,
    presented,
    rate_headers,
    result_view,
    streamed,
)
from service.api.submission import Retry, Submission, from_json, from_ndjson, from_urls
from service.errors import (
    BatchActive,
    BatchQuotaUsed,
    Busy,
    Draining,
    Expired,
    KeyInFlight,
    KeyReused,
    Malformed,
    NotAcceptable,
    NotFound,
    NothingToRetry,
    QueueFull,
    QueueQuotaUsed,
    StoreUnavailable,
    TooLarge,
    TooManyStreams,
    UnsupportedMedia,
)
from service.model import BATCH_ENDED, MAX_INDEX_BITS
from service.operations.jobs import JobPage
from service.store.submits import Remembered, Sealed

blueprint = Blueprint("batches", __name__, url_prefix="/v1/batches")

FORMATS = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv"}
MAX_INDEX = (1 << MAX_INDEX_BITS) - 1
NO_STORE = {"Cache-Control": "no-store"}


_PAGED = (parameters.LIMIT, parameters.JOB_CURSOR)
_FOLLOWED = (parameters.FOLLOW, parameters.AFTER_SEQ)
_WAITED = (PREFERENCE_APPLIED, WAIT_REFUSED)
_NEW = (LOCATION, IDEMPOTENCY_REPLAYED, *_WAITED, *RATE_LIMIT)
_ACCEPTED = Answer(
    "Accepted, and on disk.",
    answers.Batch,
    headers=(*_NEW, RETRY_AFTER),
    links=links.NEW_BATCH,
)
_NOT_NOW = (KeyInFlight, KeyReused, BatchQuotaUsed, QueueQuotaUsed, QueueFull, Draining)


@blueprint.post("")
@documented(
    {
        202: _ACCEPTED,
        200: Answer(
            "It ended within the wait; or, with `dry_run`, it is valid.",
            answers.BatchOrDryRun,
            headers=(replace(LOCATION, required=False), *_NEW[1:]),
        ),
    },
    query=(parameters.WAIT, parameters.DRY_RUN, *parameters.STREAM_OPTIONS),
    headers=(parameters.PREFER, parameters.IDEMPOTENCY_KEY),
    body=RequestBody(bodies.submission, "The batch, or its jobs only."),
    problems=(Malformed, UnsupportedMedia, TooLarge, Busy, *_NOT_NOW),
)
def submit_batch() -> Response:
    """Submit a batch of jobs.

    It is accepted whole or refused whole, with every flaw named. With a text or NDJSON body,
    which holds jobs only, the batch's options are query parameters.
    """
    wait = query.wait_of(request, most_s=operations().settings.max_wait_s)
    key_hash = query.idempotency_key(request)
    if query.flag(request, parameters.DRY_RUN):
        return _checked()
    return _answer(_accepted(key_hash), wait)


def _checked() -> Response:
    with room().entered() as take:
        _, submission = _submission(take)
        return presented({"valid": True, "total": sum(1 for _ in submission.specs)})


def _accepted(key_hash: str | None) -> Sealed:
    with room().entered() as take:
        body, submission = _submission(take)
        with operations().submissions.key_in_flight(key_hash):
            return operations().submissions.submit(
                submission.options, submission.specs, _remembered(key_hash, body), key_hash
            )


def _submission(take_room: Callable[[int], None]) -> tuple[Body, Submission]:
    settings = operations().settings
    catalogue, most = operations().catalogue, settings.max_batch_jobs
    kind = request.mimetype
    if kind == "application/x-ndjson":
        options, defaults = query.options_of(request)
        body = Body(request, limit=settings.max_stream_bytes, limit_name="max_stream_bytes")
        return body, from_ndjson(body, options, defaults, catalogue, max_jobs=most)
    body = Body(request, limit=settings.max_body_bytes, limit_name="max_body_bytes")
    if kind == "text/plain":
        options, defaults = query.options_of(request)
        return body, from_urls(body, options, defaults, catalogue, max_jobs=most)
    if kind == "application/json":
        query.refuse_unknown(request, (parameters.WAIT, parameters.DRY_RUN))
        text = body.all()
        take_room(len(text))
        return body, from_json(text, catalogue, max_jobs=most)
    raise UnsupportedMedia(
        f"Content-Type {kind[:80]!r} is not accepted; send application/json, "
        "application/x-ndjson (a job a line) or text/plain (a URL a line)"
    )


def _remembered(key_hash: str | None, body: Body) -> Callable[[], Remembered | None]:
    """The key with a hash of all that makes the request what it is.

    Called once the body has been read to its end, and not on this request's thread.
    """
    options = sorted((n, v) for n, v in request.args.items(multi=True) if n != "wait")
    asked = f"{request.path}{request.mimetype}?{urlencode(options)}"

    def remembered() -> Remembered | None:
        if key_hash is None:
            return None
        whole = f"{asked}#{body.digest}"
        return Remembered(key_hash, hashlib.sha256(whole.encode()).hexdigest())

    return remembered


def _answer(submitted: Sealed, wait: query.Wait | None) -> Response:
    batch_id = submitted.batch.id
    bind_contextvars(batch_id=batch_id)
    headers = {**NO_STORE, "Location": batch_path(batch_id)} | rate_headers(submitted.allowance)
    if submitted.replayed:
        headers["Idempotency-Replayed"] = "true"
    view = created_view(submitted.batch)
    try:
        if wait:
            waited = operations().batches.wait_for_end(batch_id, wait.seconds)
            view = batch_view(operations().batches.show(batch_id), operations().now_ms())
            headers |= _applied(wait, waited=waited)
    except (NotFound, Expired, StoreUnavailable):
        # It was accepted: an error would have the client send it again. (A replay may be of a
        # batch that is gone by now.)
        pass
    if view["status"] in BATCH_ENDED:
        return presented(view, 200, headers)
    return presented(view, 202, {**headers, "Retry-After": str(view["poll_after_s"])})


def _applied(wait: query.Wait, *, waited: bool) -> dict[str, str]:
    if not waited:
        return {"Wait-Refused": TooManyStreams.code}
    return {"Preference-Applied": f"wait={wait.seconds:g}"} if wait.preferred else {}


@blueprint.get("")
@documented(
    {200: Answer("A page of batches.", answers.BatchPage, headers=(LINK,))},
    query=parameters.BATCH_FILTERS,
)
def list_batches() -> Response:
    """Batches, newest first."""
    wanted, limit = query.batch_filter(request), query.limit_of(request)
    rows = operations().batches.list(wanted, before=query.cursor_of(request), limit=limit + 1)
    now_ms = operations().now_ms()
    views = [batch_view(row, now_ms) for row in rows[:limit]]
    return _page(views, rows[limit - 1].key if len(rows) > limit else None)


@blueprint.get("/<batch_id>")
@documented(
    {
        200: Answer("The batch.", answers.Batch, headers=(ETAG, RETRY_AFTER, *_WAITED)),
        304: Answer("Nothing has happened since.", headers=(ETAG, RETRY_AFTER, *_WAITED)),
    },
    query=(parameters.WAIT,),
    headers=(parameters.PREFER, parameters.IF_NONE_MATCH),
)
def show_batch(batch_id: str) -> Response:
    """The status of a batch: small, made for polling."""
    headers = dict(NO_STORE)
    wait = query.wait_of(request, most_s=operations().settings.max_wait_s)
    batch = operations().batches.show(batch_id)
    if wait:
        waited = operations().batches.wait_for_end(batch_id, wait.seconds)
        headers |= _applied(wait, waited=waited)
        batch = operations().batches.show(batch_id)
    view = batch_view(batch, operations().now_ms())
    if view["poll_after_s"] is not None:
        headers["Retry-After"] = str(view["poll_after_s"])
    response = presented(view, 200, headers)
    # weak: two answers with one tag tell of the same events, read at different moments
    response.set_etag(str(batch.version), weak=True)
    response.make_conditional(request)
    return response


@blueprint.delete("/<batch_id>")
@documented({204: Answer("It is gone.")}, problems=(BatchActive,))
def delete_batch(batch_id: str) -> Response:
    """Remove an ended batch and all that belongs to it. It is not a cancel."""
    operations().batches.delete(batch_id)
    return Response(status=204)


@blueprint.get("/<batch_id>/jobs")
@documented(
    {200: Answer("A page of jobs.", answers.JobPage, headers=(LINK,))},
    query=(parameters.JOB_STATUS, *_PAGED),
)
def list_jobs(batch_id: str) -> Response:
    """The jobs of a batch, in submission order."""
    page = _job_page(batch_id, query.choice(request, parameters.JOB_STATUS))
    views = [job_view(page.batch, job, page.earlier.get(job.key, [])) for job in page.jobs]
    return _page(views, page.end)


@blueprint.get("/<batch_id>/results")
@documented(
    {
        200: Answer(
            "A page of results as JSON; all of them as NDJSON (a `Result` a line) or CSV.",
            answers.ResultPage,
            texts={FORMATS["ndjson"]: examples.NDJSON, FORMATS["csv"]: examples.CSV},
            headers=(LINK,),
        )
    },
    query=(parameters.FORMAT, *_PAGED, *_FOLLOWED),
    problems=(NotAcceptable, *streams.PROBLEMS),
)
def list_results(batch_id: str) -> Response:
    """How each job of a batch ended or stands, in submission order; also while it runs.

    With `follow` as NDJSON, each job as it ends, in that order, until the batch has ended: then
    comes `{"type":"end",…}` with status, outcome and counts, the one line that has no `job_id`.
    A stream without it was cut, and is resumed with `after`.
    """
    if query.flag(request, parameters.FOLLOW):
        query.refuse_unknown(request, (parameters.FORMAT, *_FOLLOWED))
        query.choice(request, parameters.FOLLOWED_FORMAT)
        return streams.results(batch_id, query.after_of(request))
    query.refuse_unknown(request, (parameters.FORMAT, *_PAGED, parameters.FOLLOW))
    chosen = _format()
    if chosen == "json":
        page = _job_page(batch_id, None)
        return _page([result_view(page.batch, job) for job in page.jobs], page.end)
    jobs, whole_id = operations().jobs, operations().batches.show(batch_id).id
    if chosen == "ndjson":
        return streamed(export.ndjson(jobs.lines(whole_id)), FORMATS[chosen])
    return streamed(export.csv_rows(jobs.results(whole_id)), FORMATS[chosen])


@blueprint.get("/<batch_id>/console")
@documented(
    {200: Answer("Their lines so far.", texts={"text/plain": examples.CONSOLE})},
    query=(parameters.FOLLOW, parameters.AFTER_BYTES),
    problems=streams.PROBLEMS,
)
def show_console(batch_id: str) -> Response:
    """What the jobs of a batch printed, in the order printed.

    With `follow` until the batch has ended; a stream that is cut is resumed with `after`.
    """
    after = query.after_of(request)
    if query.flag(request, parameters.FOLLOW):
        return streams.console(batch_id, after)
    text = operations().console.of_batch(batch_id, after=after)
    return streamed(text, "text/plain")


@blueprint.get("/<batch_id>/events")
@documented(
    {
        200: Answer("The events.", events=answers.Event),
        204: Answer("The last event has been seen: there is nothing to connect again for."),
    },
    query=(parameters.AFTER_ID,),
    headers=(parameters.LAST_EVENT_ID,),
    problems=(Malformed, *streams.PROBLEMS),
)
def follow_events(batch_id: str) -> Response:
    """A batch as Server-Sent Events, until it has ended.

    A `job` for each job that ended: its `Result`, with a link in place of the result itself. A
    `batch` when status or counts changed, at most two a second, and last when it has ended.
    """
    return streams.events(batch_id, query.last_event_id(request))


@blueprint.post("/<batch_id>/cancel")
@documented(
    {
        202: Answer("What was done.", answers.Cancelled),
        200: Answer("It had ended: there was nothing to do.", answers.Cancelled),
    }
)
def cancel_batch(batch_id: str) -> Response:
    """Cancel a batch; repeatable.

    Queued jobs never start. Running ones are told to stop, and stop when their code looks.
    """
    cancelled, had_ended = operations().batches.cancel(batch_id)
    view = {"cancelled_queued": cancelled.queued, "still_running": cancelled.running}
    return presented(view, 200 if had_ended else 202, NO_STORE)


@blueprint.post("/<batch_id>/retry")
@documented(
    {202: _ACCEPTED},
    headers=(parameters.IDEMPOTENCY_KEY,),
    body=RequestBody(
        bodies.retry, "Which jobs; those that failed or were cancelled without it.", required=False
    ),
    problems=(Malformed, TooLarge, BatchActive, NothingToRetry, *_NOT_NOW),
)
def retry_batch(batch_id: str) -> Response:
    """Make a new batch of those jobs of an ended batch that did not succeed."""
    key_hash = query.idempotency_key(request)
    body = Body(request, limit=65_536, limit_name="of this route")
    states = _retry_states(body.all())
    with operations().submissions.key_in_flight(key_hash):
        again = operations().submissions.retry(batch_id, states, _remembered(key_hash, body)())
    return _answer(again, None)


def _retry_states(body: bytes) -> Sequence[str]:
    raw = parse_json(body) if body else {}
    flaws = Flaws()
    retry = flaws.checked(Retry, raw)
    flaws.conclude("the body")
    return retry.status if retry else ()


def _job_page(batch_id: str, status: str | None) -> JobPage:
    """Up to ``limit`` jobs: fewer if they are large. Only ``next`` tells whether there are more."""
    limit = query.limit_of(request)
    cursor = query.cursor_of(request, most=MAX_INDEX - 1)  # behind the last there is no page
    after = -1 if cursor is None else cursor
    return operations().jobs.page(batch_id, after=after, limit=limit, status=status)


def _page(items: list[dict[str, Any]], end: int | None) -> Response:
    link, headers = query.next_page(request, end)
    return presented({"items": items, "next": link}, 200, {**NO_STORE, **headers})


def _format() -> str:
    chosen = query.choice(request, parameters.FORMAT)
    if chosen:
        return chosen
    accepted = request.accept_mimetypes
    best = accepted.best_match(FORMATS.values()) if accepted.provided else "application/json"
    if best is None:
        raise NotAcceptable(f"results come as {', '.join(FORMATS.values())}")
    return next(name for name, kind in FORMATS.items() if kind == best)
