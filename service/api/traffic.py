"""What each request leaves behind: an id in its answer, an event in the log, and numbers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any
from uuid import uuid4

from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from service.api.context import numbers, operations

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

OFTEN = {
    ("GET", "/v1/batches/<batch_id>"),
    ("GET", "/v1/jobs/<job_id>"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
}
"""What clients and monitors ask again and again: told at debug, unless it was refused."""

SUBMITS = ("batches.submit_batch", "batches.retry_batch")
SUBJECTS = ("batch_id", "job_id")
LONGEST_PATH = 256

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Name, time and tell each request."""
    app.before_request(_begin)
    app.after_request(_answer)


def _begin() -> None:
    g.begun = perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
    clear_contextvars()  # a request's thread has served others
    about = {name: v for name, v in (request.view_args or {}).items() if name in SUBJECTS}
    bind_contextvars(request_id=g.request_id, **about)


def _answer(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    # the answer may be a stream: the request ends when that is closed, outside of its context
    begun, status, told = g.begun, response.status_code, {}
    count = partial(numbers().request, _route(), request.method, status)
    if status >= 400 and request.endpoint in SUBMITS:
        numbers().refused(g.get("problem", "unknown"))
    if operations().settings.access_log:
        level = _level(status)
        if log.isEnabledFor(level):
            told = _told(level, status)
    response.call_on_close(partial(_end, begun, count, told))
    return response


def _level(status: int) -> int:
    if status >= 500:
        return logging.WARNING if status == 503 else logging.ERROR
    often = (request.method, _route()) in OFTEN and status < 400
    return logging.DEBUG if often else logging.INFO


def _route() -> str:
    """The rule that the path matched, so that there are few of them."""
    return request.url_rule.rule if request.url_rule else "unknown"


def _told(level: int, status: int) -> dict[str, Any]:
    return {
        "at": level,
        "method": request.method,
        "route": _route(),
        "path": request.path[:LONGEST_PATH],
        "status": status,
        "client": request.remote_addr,
    }


def _end(begun: float, count: Callable[[float], None], told: dict[str, Any]) -> None:
    seconds = perf_counter() - begun
    count(seconds)
    if told:
        about = {**told, "duration_ms": round(seconds * 1000, 3)}
        log.log(about.pop("at"), "request", extra=about)
    clear_contextvars()
