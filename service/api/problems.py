"""Errors as ``application/problem+json`` (RFC 9457): the one place where they meet HTTP."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from service import errors
from service.api.flaws import MAX_FLAWS
from service.api.present import dumps, rate_headers

STATUS: dict[type[errors.JobspoolError], HTTPStatus] = {
    errors.Malformed: HTTPStatus.BAD_REQUEST,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UriTooLong: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.HeadersTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.BatchQuotaUsed: HTTPStatus.TOO_MANY_REQUESTS,
    errors.QueueQuotaUsed: HTTPStatus.TOO_MANY_REQUESTS,
    errors.CrossSite: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Expired: HTTPStatus.GONE,
    errors.ResultNotReady: HTTPStatus.CONFLICT,
    errors.BatchActive: HTTPStatus.CONFLICT,
    errors.NothingToRetry: HTTPStatus.CONFLICT,
    errors.KeyInFlight: HTTPStatus.CONFLICT,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Draining: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

PROBLEM_JSON = "application/problem+json"

log = logging.getLogger(__name__)


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    g.problem = code
    body = problem_body(status, code, detail, g.get("request_id"), **more)
    response = Response(dumps(body), status, content_type=PROBLEM_JSON)
    response.headers.update(headers or {})
    return response


def problem_body(
    status: HTTPStatus, code: str, detail: str, request_id: str | None, **more: Any
) -> dict[str, Any]:
    return {
        "type": f"urn:jobspool:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "request_id": request_id,
        **more,
    }


def register_problems(app: Flask) -> None:
    app.register_error_handler(errors.JobspoolError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unknown)


def _known(error: errors.JobspoolError) -> Response:
    status = STATUS.get(type(error))
    if status is None:
        return _unknown(error)
    more = _listed(error) if isinstance(error, errors.Invalid) else {}
    return problem(status, error.code, error.detail, headers=_headers_of(error), **more)


def _headers_of(error: errors.JobspoolError) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if isinstance(error, errors.QuotaUsed):
        headers |= rate_headers(error.allowance)
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _listed(invalid: errors.Invalid) -> dict[str, Any]:
    more: dict[str, Any] = {"errors": [flaw._asdict() for flaw in invalid.flaws[:MAX_FLAWS]]}
    left_out = invalid.left_out + len(invalid.flaws[MAX_FLAWS:])
    if left_out:
        more["errors_left_out"] = left_out
    return more


def _http(error: HTTPException) -> Response:
    """What Flask itself refuses: an unknown path, a method that is not there."""
    status = HTTPStatus(error.code or 500)
    code = status.phrase.lower().replace(" ", "-")
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problem(status, code, error.description or status.phrase, headers=headers)


def _unknown(error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"request_id": g.get("request_id")})
    detail = "Something went wrong here; quote the request_id when you report it."
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)
