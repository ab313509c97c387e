"""What a call of the client can raise, one tree: ``JobspoolClientError``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from service.client.shapes import Batch


class JobspoolClientError(Exception):
    """A call to the service did not give what it was made for."""


class ConnectionFailed(JobspoolClientError):
    """There was no answer: the service can't be reached, or it was cut off, also after retries."""


class StreamCut(ConnectionFailed):
    """A stream of results or text ended before its end; what it gave until then is right."""


class StreamSilent(StreamCut):
    """Nothing came through a stream for as long as the client's ``timeout_s``."""


class WaitTimeout(JobspoolClientError):
    """The batch had not ended in time. It goes on; ``batch`` is how it was seen last."""

    def __init__(self, batch: Batch, timeout_s: float) -> None:
        done = f"{batch.counts.ended} of {batch.counts.total} jobs have ended"
        super().__init__(f"batch {batch.id} is {batch.status} after {timeout_s:g} s: {done}")
        self.batch = batch


@dataclass(frozen=True)
class Flaw:
    """One thing wrong with a request. ``pointer`` is a JSON Pointer (RFC 6901) into it."""

    pointer: str
    detail: str


class ProblemError(JobspoolClientError):
    """The service refused (RFC 9457). ``code`` is stable, and what to decide by.

    ``request_id`` is what to quote to whoever runs the service; ``errors`` are the flaws of the
    request, ``errors_left_out`` more that were not listed. ``retry_after_s`` is what the service
    asked for. An answer that is not the service's own (a proxy's page, broken JSON) has the code
    ``not-jobspool``, and no request id.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        request_id: str | None = None,
        errors: tuple[Flaw, ...] = (),
        errors_left_out: int = 0,
        retry_after_s: float | None = None,
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.errors = errors
        self.errors_left_out = errors_left_out
        self.retry_after_s = retry_after_s
        self.raw = dict(raw or {})

    def __str__(self) -> str:
        lines = [f"{self.status} {self.code}: {self.detail}"]
        lines += [f"{flaw.pointer or '/'}: {flaw.detail}" for flaw in self.errors]
        if self.errors_left_out:
            lines.append(f"and {self.errors_left_out} more")
        text = "; ".join(lines)
        return f"{text} (request {self.request_id})" if self.request_id else text


class Invalid(ProblemError):
    """400, 422: the request is wrong; ``errors`` say where."""


class Unauthorized(ProblemError):
    """401, 403: no key, or not one that may do this."""


class NotFound(ProblemError):
    """404: there is no such thing, or it is another key's."""


class Conflict(ProblemError):
    """409: not in this state: still active, not ready, nothing to retry."""


class Expired(ProblemError):
    """410: it was here, and its time to live is over."""


class TooLarge(ProblemError):
    """413: the body or the batch is over a bound, which ``detail`` names."""


class QuotaExceeded(ProblemError):
    """429: the key's quota is used up."""


class Unavailable(ProblemError):
    """503: the queue is full, or the service is stopping."""


BY_STATUS: dict[int, type[ProblemError]] = {
    HTTPStatus.BAD_REQUEST: Invalid,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Unauthorized,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Expired,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge,
    HTTPStatus.UNPROCESSABLE_ENTITY: Invalid,
    HTTPStatus.TOO_MANY_REQUESTS: QuotaExceeded,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
}
