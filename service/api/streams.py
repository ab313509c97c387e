"""Streams: what happens in a batch, sent as it happens. NDJSON, plain text and SSE.

A stream that is cut short (the service stops, the batch is removed) is cut on the wire too: its
last chunk is not sent, so no client takes it for a whole one.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Response, request

from service.api.context import operations
from service.api.events import Events, final_id
from service.api.present import end_line, result_line
from service.connections import Audience
from service.errors import Draining, JobspoolError, TooManyStreams
from service.model import BATCH_ENDED
from service.operations.following import EndedJobs, Followed, Printed, StillThere

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Not to be kept by caches, nor to be gathered by nginx."""

PROBLEMS = (TooManyStreams, Draining)

log = logging.getLogger(__name__)


def results(batch_id: str, after: int) -> Response:
    """NDJSON, a line a job as it ends, and a last line when the batch has."""
    followed = operations().following.results(batch_id, after=after, still_there=_still_there())
    return _streamed(
        map(str.encode, _ndjson(followed)), followed, "application/x-ndjson; charset=utf-8"
    )


def console(batch_id: str, after: int) -> Response:
    followed = operations().following.console(batch_id, after=after, still_there=_still_there())
    return _streamed(_texts(followed), followed, "text/plain; charset=utf-8")


def console_of_job(batch_id: str, index: int, after: int) -> Response:
    followed = operations().following.console_of_job(
        batch_id, index, after=after, still_there=_still_there()
    )
    return _streamed(_texts(followed), followed, "text/plain; charset=utf-8")


def events(batch_id: str, after: int) -> Response:
    """Server-Sent Events. Who has seen the last one is told 204, and connects no more then."""
    batch = operations().batches.show(batch_id)
    if batch.status in BATCH_ENDED and after == final_id(batch):
        return Response(status=204, headers=HEADERS)
    followed = operations().following.heads(batch_id, after=after, still_there=_still_there())
    told = Events(after, operations().now_ms).of(followed)
    return _streamed(map(str.encode, told), followed, "text/event-stream")


def _still_there() -> StillThere:
    connection = request.environ.get("gunicorn.socket")
    return Audience(connection).check if connection else lambda: None


def _streamed(pieces: Iterable[bytes], followed: Followed[Any], content_type: str) -> Response:
    response = Response(_cut_short(pieces), content_type=content_type, headers=HEADERS)
    response.call_on_close(followed.close)
    return response


def _cut_short(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield b""  # the head of the answer is sent at once
    try:
        yield from pieces
    except JobspoolError as error:
        log.info("a stream ends early: %s", error.detail)
        # as if the client had gone: gunicorn closes the connection, and nothing more is said
        raise ConnectionResetError(errno.ECONNRESET, error.detail) from error


def _ndjson(followed: Iterable[EndedJobs]) -> Iterator[str]:
    for page in followed:
        if page.jobs:
            yield "".join(result_line(page.batch, job) + "\n" for job in page.jobs)
        if page.last:
            yield end_line(page.batch) + "\n"


def _texts(followed: Iterable[Printed]) -> Iterator[bytes]:
    return (page.text for page in followed if page.text)
