"""What schemathesis has to know of jobspool beyond its document; ``schemathesis.toml`` names it."""

from __future__ import annotations

import json
import re
from itertools import count
from typing import Any

import schemathesis

from service.api.openapi.bodies import LINES, URLS

LONGEST_DELAY_S = 0.0001
MOST_LINES = 5

TOLD_IN_WORDS = re.compile(
    # that a URL is one, or a header's name, or a CSS selector
    r"/jobs/\d+/params/(url|headers|select(/[\w.-]+(/css|/attr)?)?)"
    r"|/labels|/query/label"  # bytes of them all together; names that are different
    r"|/query/(after|cursor)"  # of this batch, and not from beyond its end
)
"""Pointers of flaws that JSON Schema can't tell: the document says these in words."""

NOT_WITH_JSON = {
    "name", "executor", "max_workers", "lock", "priority", "ttl_s", "timeout_s", "max_attempts",
    "label",
}  # fmt: skip
NOT_FOLLOWED = {"limit", "cursor", "format"}

EXAMPLES = {URLS, LINES}

_keys = count(1)


@schemathesis.serializer("application/x-ndjson")
def lines(context: schemathesis.SerializationContext, text: Any) -> bytes:
    return str(text).encode("utf-8", "replace")


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Whole numbers as the document wants them; and a job that waits for an hour would be followed
    for an hour."""
    body = _whole(body)
    jobs = body.get("jobs") if isinstance(body, dict) else None
    for job in jobs if isinstance(jobs, list) else []:
        params = job.get("params") if isinstance(job, dict) else None
        delay_s = params.get("delay_s") if isinstance(params, dict) else None
        if isinstance(delay_s, int | float) and delay_s > LONGEST_DELAY_S:
            params["delay_s"] = LONGEST_DELAY_S
    return body


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]
) -> None:
    """Keep a valid request to what the document says of it in words."""
    if not _is_positive(case):
        return
    case.query = _whole(case.query or {})
    for name in _not_in_this_form(case):
        case.query.pop(name, None)
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"key-{next(_keys)}"  # each is for one request
    if "after" in case.query:
        case.query["after"] = int(case.query["after"]) % 2  # every batch has a first job
    if "Last-Event-ID" in (case.headers or {}):
        case.headers["Last-Event-ID"] = str(int(case.headers["Last-Event-ID"] or 0) % 2)
    if isinstance(case.body, str) and case.body not in EXAMPLES:
        case.body = _meant(case.body, case.media_type)


def _whole(value: Any) -> Any:
    """5 for 5.0, which to JSON Schema is an integer too."""
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _is_positive(case: schemathesis.Case) -> bool:
    return case.meta is None or case.meta.generation.mode.is_positive


def _not_in_this_form(case: schemathesis.Case) -> set[str]:
    if case.operation.label == "POST /v1/batches" and case.media_type == "application/json":
        return NOT_WITH_JSON
    if case.operation.label == "GET /v1/batches/{batch_id}/results":
        return NOT_FOLLOWED if case.query.get("follow") in (True, "true") else {"after"}
    return set()


def _meant(text: str, media_type: str | None) -> str:
    """Any text as jobs, or as URLs, a line each."""
    words = ["".join(filter(str.isprintable, word)) for word in text.split("\n")][:MOST_LINES]
    if media_type == "text/plain":
        return "\n".join(f"http://127.0.0.1/{word.encode().hex()}" for word in words)
    jobs = [{"type": "letters", "params": {"letters": word[:1000]}} for word in words]
    return "\n".join(map(json.dumps, jobs))


@schemathesis.check
def what_the_document_allows_is_accepted(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """``positive_data_acceptance``, but for what only words can say."""
    if case.meta is None or not _is_positive(case) or response.status_code not in (400, 413, 422):
        return
    problem = response.json()
    flaws = [flaw["pointer"] for flaw in problem.get("errors", [])]
    if not flaws or not all(map(TOLD_IN_WORDS.fullmatch, flaws)):
        raise AssertionError(f"valid, and refused: {response.text}")
