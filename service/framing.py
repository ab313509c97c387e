"""Requests that can't be read as HTTP, or that two readers could read in two ways.

gunicorn refuses nearly all of them; what it lets pass and RFC 9110 and 9112 do not is here, and
so is the answer to them, which is a problem (RFC 9457) as all others are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from gunicorn.http import errors

from service.errors import HeadersTooLarge, Malformed, UriTooLong

_CODES = {
    HTTPStatus.BAD_REQUEST: Malformed.code,
    HTTPStatus.REQUEST_URI_TOO_LONG: UriTooLong.code,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: HeadersTooLarge.code,
}
_REFUSALS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}

_NEWEST = (1, 1)

_HOST = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?"  # RFC 3986, 3.2.2 and 3.2.3
)


def refuse_what_is_ambiguous(request: Any) -> None:
    """Raises gunicorn's errors for a missing or malformed Host (RFC 9112, 3.2), and for codings
    below ``chunked`` that nobody here decodes (6.1)."""
    hosts = [value for name, value in request.headers if name == "HOST"]
    if not hosts and request.version >= _NEWEST:
        raise errors.InvalidHeader("HOST")
    if any(not _HOST.fullmatch(host) for host in hosts):
        raise errors.InvalidHeader("HOST")
    codings = [value for name, value in request.headers if name == "TRANSFER-ENCODING"]
    if any(coding.strip().lower() != "chunked" for coding in codings):
        raise errors.UnsupportedTransferCoding(", ".join(codings))
    # an answer says what its server speaks, whatever newer version was asked for
    request.version = min(request.version, _NEWEST)


def refusal(error: Exception) -> HTTPStatus | None:
    """The status of what the client did wrong; None if it was not the client."""
    if not isinstance(error, errors.ParseException):
        return None
    if isinstance(error, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName):
        return None
    return _REFUSALS.get(type(error), HTTPStatus.BAD_REQUEST)


def refused(status: HTTPStatus, detail: str) -> tuple[bytes, str]:
    """A whole answer, after which the connection has to be closed; and its request id."""
    request_id = uuid4().hex
    code = _CODES.get(status) or status.phrase.lower().replace(" ", "-")
    body = {
        "type": f"urn:jobspool:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    text = json.dumps(body)
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(text)}\r\n"
        f"X-Request-Id: {request_id}\r\n\r\n"
    )
    return (head + text).encode(), request_id


class ContinueReader:
    """Reads a body whose client waits for ``100 Continue``: sent when the body is first wanted,
    and so not before an answer that the headers alone decide (413, 415, 422, 503)."""

    def __init__(self, reader: Any, send: Callable[[bytes], Any]) -> None:
        self._reader = reader
        self._send = send
        self.waits = True

    def read(self, size: int) -> bytes:
        if self.waits:
            self.waits = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        data: bytes = self._reader.read(size)
        return data
