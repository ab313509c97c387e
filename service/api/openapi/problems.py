"""The problems that a route can answer with."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.routing import Rule

from service import errors
from service.api.context import needs_key
from service.api.openapi import headers
from service.api.openapi.declare import Operation
from service.api.openapi.parts import Header
from service.api.problems import PROBLEM_JSON, STATUS, problem_body

REQUEST_ID = "c0ffee"

_UNREADABLE = (errors.Malformed, errors.UriTooLong, errors.HeadersTooLarge)
"""What no route ever sees: ``service.framing`` refuses it."""

Errors = Iterable[type[errors.JobspoolError]]


def problems_of(rule: Rule, operation: Operation) -> Errors:
    """What the view declares, and what goes without saying."""
    known = list(operation.problems)
    if not operation.any_query:
        known.append(errors.Invalid)
    if rule.methods and rule.methods & {"POST", "DELETE"}:
        known.append(errors.CrossSite)
    if {"batch_id", "job_id"} & rule.arguments:
        known += [errors.NotFound, errors.Expired]
    if needs_key(rule):
        known += [errors.Unauthorized, errors.StoreUnavailable]
    return dict.fromkeys([*known, *_UNREADABLE, errors.JobspoolError])


def problem_answers(problems: Errors) -> dict[str, Any]:
    """By status; each code of a status is an example of its own."""
    by_status: dict[HTTPStatus, list[type[errors.JobspoolError]]] = {}
    for error in problems:
        by_status.setdefault(_status(error), []).append(error)
    return {str(int(status)): _answer(status, by_status[status]) for status in sorted(by_status)}


def _status(error: type[errors.JobspoolError]) -> HTTPStatus:
    return STATUS.get(error, HTTPStatus.INTERNAL_SERVER_ERROR)


def _answer(status: HTTPStatus, problems: Errors) -> dict[str, Any]:
    invalid = errors.Invalid in problems
    kept = [header for error in problems for header in _headers(error)]
    model = "InvalidProblem" if invalid else "Problem"
    return {
        "description": "; ".join(f"`{error.code}`: {_text(error)}" for error in problems),
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": f"#/components/schemas/{model}"},
                "examples": {error.code: {"value": _example(status, error)} for error in problems},
            }
        },
        "headers": headers.described((*kept, headers.REQUEST_ID)),
    }


def _headers(error: type[errors.JobspoolError]) -> Iterable[Header]:
    if hasattr(error, "retry_after_s"):
        yield headers.RETRY_AFTER
    if issubclass(error, errors.QuotaUsed):
        yield from headers.RATE_LIMIT
    if issubclass(error, errors.Unauthorized):
        yield headers.WWW_AUTHENTICATE


def _text(error: type[errors.JobspoolError]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]


def _example(status: HTTPStatus, error: type[errors.JobspoolError]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if error is errors.Invalid:
        flaw = {"pointer": "/jobs/3/params/count", "detail": "Input should be a valid integer"}
        more = {"errors": [flaw]}
    return problem_body(status, error.code, _text(error), REQUEST_ID, **more)
