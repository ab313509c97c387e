"""An answer that is not a success, as an exception."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import requests
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from service.client.errors import BY_STATUS, Flaw, ProblemError

T = TypeVar("T")

NOT_JOBSPOOL = "not-jobspool"
SHOWN = 200
"""Characters of a stranger's page in a message."""

_DATES = Retry(retry_after_max=10**9)


def problem_of(response: requests.Response) -> ProblemError:
    """The exception for this answer, also when it is not the service's: a proxy's page."""
    raw = _problem(response)
    if raw is None:
        return not_jobspool(response)
    kind = BY_STATUS.get(response.status_code, ProblemError)
    return kind(
        response.status_code,
        str(raw["code"]),
        str(raw.get("detail") or raw.get("title") or ""),
        request_id=raw.get("request_id"),
        errors=_flaws(raw.get("errors")),
        errors_left_out=raw.get("errors_left_out", 0),
        retry_after_s=_retry_after_s(response),
        raw=raw,
    )


def not_jobspool(response: requests.Response) -> ProblemError:
    """For an answer that no jobspool gave."""
    kind = BY_STATUS.get(response.status_code, ProblemError)
    location = response.headers.get("Location")
    if response.is_redirect and location:
        detail = f"a redirect to {location[:SHOWN]}, which is not followed; is it the base URL?"
    else:
        detail = (
            f"{_phrase(response.status_code)}; the answer is not jobspool's: {_shown(response)}"
        )
    return kind(response.status_code, NOT_JOBSPOOL, detail, retry_after_s=_retry_after_s(response))


def _problem(response: requests.Response) -> Mapping[str, Any] | None:
    try:
        raw = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) and "code" in raw else None


def _flaws(raw: Any) -> tuple[Flaw, ...]:
    listed = raw if isinstance(raw, list) else []
    return tuple(
        Flaw(str(one.get("pointer", "")), str(one.get("detail", "")))
        for one in listed
        if isinstance(one, dict)
    )


def _retry_after_s(response: requests.Response) -> float | None:
    try:
        return _DATES.parse_retry_after(response.headers["Retry-After"])
    except (KeyError, InvalidHeader, OverflowError):
        return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"


def _shown(response: requests.Response) -> str:
    """The words of the page, without its tags, safe to print."""
    start = response.content[: 64 * SHOWN].decode("utf-8", "replace")
    words = " ".join(re.sub(r"<[^>]*>", " ", start).split())
    return repr(words[:SHOWN])


def shaped(shape: Callable[[Any], T], raw: Any) -> T:
    """The typed answer. Raises ProblemError for JSON that does not have its shape."""
    try:
        return shape(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"the answer is not jobspool's: {type(error).__name__} {error}"
        raise ProblemError(200, NOT_JOBSPOOL, detail[:SHOWN]) from None
