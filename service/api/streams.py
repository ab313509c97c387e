"""Streams: what happens in a batch, sent as it happens. NDJSON, plain text and SSE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from flask import Response, request

from service.api.context import operations
from service.api.events import Events, final_id
from service.api.present import end_line, result_lines, streamed
from service.connections import Audience
from service.errors import Draining, TooManyStreams
from service.model import BATCH_ENDED
from service.operations.following import EndedJobs, Followed, Printed, StillThere

PROBLEMS = (TooManyStreams, Draining)


def results(batch_id: str, after: int) -> Response:
    """NDJSON, a line a job as it ends, and a last line when the batch has."""
    followed = operations().following.results(batch_id, after=after, still_there=_still_there())
    return _followed(map(str.encode, _ndjson(followed)), followed, "application/x-ndjson")


def console(batch_id: str, after: int) -> Response:
    followed = operations().following.console(batch_id, after=after, still_there=_still_there())
    return _followed(_texts(followed), followed, "text/plain")


def console_of_job(batch_id: str, index: int, after: int) -> Response:
    followed = operations().following.console_of_job(
        batch_id, index, after=after, still_there=_still_there()
    )
    return _followed(_texts(followed), followed, "text/plain")


def events(batch_id: str, after: int) -> Response:
    """Server-Sent Events. Who has seen the last one is told 204, and connects no more then."""
    batch = operations().batches.show(batch_id)
    if batch.status in BATCH_ENDED and after == final_id(batch):
        return Response(status=204, headers={"Cache-Control": "no-store"})
    followed = operations().following.heads(batch_id, after=after, still_there=_still_there())
    told = Events(after, operations().now_ms).of(followed)
    return _followed(map(str.encode, told), followed, "text/event-stream")


def _still_there() -> StillThere:
    connection = request.environ.get("gunicorn.socket")
    return Audience(connection).check if connection else lambda: None


def _followed(pieces: Iterable[bytes], followed: Followed[Any], kind: str) -> Response:
    response = streamed(chain([b""], pieces), kind)  # the empty one sends the head at once
    response.headers["X-Accel-Buffering"] = "no"  # nginx would gather what is sent
    response.call_on_close(followed.close)
    return response


def _ndjson(followed: Iterable[EndedJobs]) -> Iterator[str]:
    for page in followed:
        if page.jobs:
            yield result_lines(page.jobs)
        if page.last:
            yield end_line(page.batch) + "\n"


def _texts(followed: Iterable[Printed]) -> Iterator[bytes]:
    return (page.text for page in followed if page.text)
