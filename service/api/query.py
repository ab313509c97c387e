"""Query parameters and request headers, read strictly."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Request
from pydantic import ValidationError

from service.api import parameters
from service.api.flaws import Flaws, flaws_of, pointer_of
from service.api.openapi.parts import Parameter
from service.api.parameters import DEFAULT_LIMIT, KEY_PATTERN, MAX_LIMIT
from service.api.submission import Defaults, OptionsIn
from service.errors import Flaw, Invalid, Malformed
from service.model import BatchOptions
from service.store.listing import BatchFilter

_OPTIONS = {parameter.name for parameter in parameters.OPTIONS}
_DEFAULTS = {parameter.name for parameter in parameters.DEFAULTS}
_ASKED_AS = {"labels": "label"}
_KEY = re.compile(KEY_PATTERN)
_NUMBER = re.compile(
    r"-?[0-9]{1,330}(?P<fraction>\.[0-9]{1,330})?(?P<exponent>[eE][+-]?[0-9]{1,3})?"
)


class Wait(NamedTuple):
    """How long the client wants to wait, and whether by ``Prefer`` (which may be ignored)."""

    seconds: float
    preferred: bool


def refuse_unknown(request: Request, declared: Iterable[Parameter]) -> None:
    """An unknown or repeated parameter is an error: a misspelt one would be ignored silently."""
    known, flaws = {parameter.name: parameter for parameter in declared}, Flaws()
    for name, values in request.args.lists():
        if flaw := _flaw_of(name, values, known):
            flaws.add("/query" + pointer_of((name,)), flaw)
    flaws.conclude("the query")


def _flaw_of(name: str, values: list[str], known: dict[str, Parameter]) -> str | None:
    if name not in known:
        there = f"there are {', '.join(sorted(known))}" if known else "this route has none"
        return f"there is no such parameter; {there}"
    if len(values) > (times := known[name].times):
        return f"given more than {times} times" if times > 1 else "given more than once"
    return "holds NUL" if any("\0" in value for value in values) else None


def wait_of(request: Request, *, most_s: float) -> Wait | None:
    """``?wait=N``, or else ``Prefer: wait=N`` (RFC 7240), which is cut to what is allowed."""
    text = request.args.get("wait")
    if text is not None:
        seconds = _number(text)
        if isinstance(seconds, str) or not 0 <= seconds <= most_s:
            flaw = Flaw("/query/wait", f"must be a number of seconds from 0 to {most_s:g}")
            raise Invalid([flaw])
        return Wait(float(seconds), preferred=False)
    for preference in request.headers.get("Prefer", "").split(","):
        if found := re.fullmatch(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(;.*)?', preference, re.I):
            return Wait(min(most_s, float(found[1])), preferred=True)
    return None


def flag(request: Request, parameter: Parameter) -> bool:
    text = request.args.get(parameter.name)
    if text not in (None, "true", "false"):
        raise Invalid([Flaw(f"/query/{parameter.name}", "must be true or false")])
    return text == "true"


def limit_of(request: Request, *, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT) -> int:
    text = request.args.get("limit")
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= most:
        raise Invalid([Flaw("/query/limit", f"must be a whole number from 1 to {most}")])
    return int(text)


def choice(request: Request, parameter: Parameter) -> str | None:
    text, allowed = request.args.get(parameter.name), parameter.choices
    if text is not None and text not in allowed:
        detail = f"must be one of {', '.join(allowed)}"
        raise Invalid([Flaw(f"/query/{parameter.name}", detail)])
    return text


def after_of(request: Request) -> int:
    """Where a stream is to go on: a seq, or a number of bytes."""
    text = request.args.get("after", "0")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise Invalid([Flaw("/query/after", "must be a whole number, at most 15 digits")])
    return int(text)


def last_event_id(request: Request) -> int:
    """``Last-Event-ID``, which a browser sends when it connects again, or else ``?after=``."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not re.fullmatch(r"[0-9]{0,15}", text):
        raise Malformed("Last-Event-ID must be the id of an event of this stream: a whole number")
    return int(text) if text else after_of(request)


def cursor_of(request: Request, *, most: int = (1 << 63) - 1) -> int | None:
    """Where the page before ended. Opaque to clients: only ever one that ``next`` held, in a list
    of the same items."""
    text = request.args.get("cursor")
    if text is None:
        return None
    try:
        number = int.from_bytes(base64.urlsafe_b64decode(text + "===")[1:])
    except ValueError:
        number = -1
    if not 0 <= number <= most or cursor(request, number) != text:
        raise Invalid([Flaw("/query/cursor", "is not a cursor that this service gave out")])
    return number


def cursor(request: Request, number: int) -> str:
    of_jobs = "batch_id" in (request.view_args or {})
    whole = bytes([of_jobs]) + number.to_bytes(8)
    return base64.urlsafe_b64encode(whole).decode()


def next_page(request: Request, end: int | None) -> tuple[str | None, dict[str, str]]:
    """The link to the page behind ``end``, and the header that says it too (RFC 8288)."""
    if end is None:
        return None, {}
    args = [(n, v) for n, v in request.args.items(multi=True) if n != "cursor"]
    link = f"{request.path}?{urlencode([*args, ('cursor', cursor(request, end))])}"
    return link, {"Link": f'<{link}>; rel="next"'}


def batch_filter(request: Request) -> BatchFilter:
    return BatchFilter(
        status=choice(request, parameters.BATCH_STATUS),
        outcome=choice(request, parameters.OUTCOME),
        name=request.args.get("name"),
        labels=_labels(request),
        created_after_ms=_moment(request, "created_after"),
    )


def _labels(request: Request) -> tuple[tuple[str, str], ...]:
    """Each as name=value or name:value; a batch has to have them all."""
    given = request.args.getlist("label")
    found = [text.partition("=" if "=" in text else ":") for text in given]
    if not all(separator and name for name, separator, _ in found):
        raise Invalid([Flaw("/query/label", "must be name=value (or name:value)")])
    return tuple((name, value) for name, _, value in found)


def _moment(request: Request, name: str) -> int | None:
    text = request.args.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Invalid(
            [Flaw(f"/query/{name}", "must be an RFC 3339 time, like 2026-01-31T12:00:00Z")]
        ) from None


def options_of(request: Request) -> tuple[BatchOptions, Defaults]:
    """The batch options that stand in the query beside a text or NDJSON body."""
    given: dict[str, Any] = {n: _number(v) for n, v in request.args.items() if n in _OPTIONS}
    if "name" in given:
        given["name"] = request.args["name"]
    defaults = {n: _number(v) for n, v in request.args.items() if n in _DEFAULTS}
    labels = [text.partition("=") for text in request.args.getlist("label")]
    if labels:
        given["labels"] = {name: value for name, _, value in labels}
        if len(given["labels"]) < len(labels):
            raise Invalid([Flaw("/query/label", "gives a name more than once")])
    try:
        return OptionsIn.model_validate(given).options(), Defaults.model_validate(defaults)
    except ValidationError as invalid:
        found = [
            (flaw.pointer.split("/")[1], flaw.detail)
            for flaw in flaws_of(invalid, given | defaults)
        ]
        flaws = [Flaw(f"/query/{_ASKED_AS.get(name, name)}", detail) for name, detail in found]
        raise Invalid(flaws) from None


def _number(text: str) -> int | float | str:
    """Query values are text; the strict models want numbers where they are numbers, as JSON
    writes them."""
    found = _NUMBER.fullmatch(text)
    if not found:
        return text
    return float(text) if found["fraction"] or found["exponent"] else int(text)


def idempotency_key(request: Request) -> str | None:
    """A hash of the ``Idempotency-Key`` (quoted or bare). Raises Malformed for an odd one."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    found = _KEY.fullmatch(text.strip())
    if not found:
        raise Malformed("Idempotency-Key must be 1 to 255 printable ASCII characters")
    return hashlib.sha256((found[1] or found[2]).encode()).hexdigest()
