"""Request bodies: read within bounds, and JSON read strictly (RFC 8259, I-JSON in spirit)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

from flask import Request
from werkzeug.exceptions import ClientDisconnected

from service.errors import Malformed, TooLarge, UnsupportedMedia
from service.json_text import MAX_DEPTH, nests_too_deep

MAX_NAMES = 1_000
"""Names in one object: what checks it keeps a kilobyte for each that is wrong."""
MAX_CONTAINERS = 1_500_000
"""Objects and lists of one text; 16 MiB of the shortest jobs have fewer."""
MAX_LINE_BYTES = 1 << 20
CHUNK = 1 << 16


class Body:
    """A request's body, read once, within its limit, and hashed on the way."""

    def __init__(self, request: Request, *, limit: int, limit_name: str) -> None:
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise UnsupportedMedia(
                f"Content-Encoding {encoding[:40]!r} is not accepted; send the body as it is"
            )
        self._stream = request.stream
        self._limit = limit
        self._limit_name = limit_name
        self._read = 0
        self._hash = hashlib.sha256()
        if (request.content_length or 0) > limit:
            raise self._too_large()

    @property
    def digest(self) -> str:
        """SHA-256 of what was read so far."""
        return self._hash.hexdigest()

    def all(self) -> bytes:
        return b"".join(self._chunks())

    def lines(self) -> Iterator[bytes]:
        """Lines without their ends; blank ones too. Raises TooLarge for an endless one."""
        rest = b""
        for chunk in self._chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            # only the first line may have begun before this chunk
            if max(len(rest), len(whole[0]) if whole else 0) > MAX_LINE_BYTES:
                raise TooLarge(f"a line is longer than {MAX_LINE_BYTES} bytes")
            yield from whole
        if rest:
            yield rest

    def _chunks(self) -> Iterator[bytes]:
        while True:
            # one byte more than allowed: a chunked body says nothing about its length
            chunk = self._read_some(min(CHUNK, self._limit - self._read + 1))
            if not chunk:
                return
            self._read += len(chunk)
            if self._read > self._limit:
                raise self._too_large()
            self._hash.update(chunk)
            yield chunk

    def _read_some(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (OSError, ClientDisconnected):
            # nobody may be left to read this; if someone is, it is their body that is wrong
            raise Malformed("the body ends early, comes too slowly, or is badly chunked") from None

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is over {self._limit} bytes ({self._limit_name})")


def parse_json(text: bytes, *, most: int = MAX_CONTAINERS) -> Any:
    """The JSON value; Malformed for anything that two parsers might read differently, TooLarge
    for an object of more than MAX_NAMES names and for more than ``most`` objects and lists.

    That is: bytes that are not UTF-8, a byte order mark, duplicate names, NaN and numbers that
    overflow, integers of thousands of digits, lone surrogates, NUL, and nesting over 64.
    """
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Malformed("the body begins with a byte order mark; send plain UTF-8")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})") from None
    if text.count(b"{") + text.count(b"[") > most:
        raise TooLarge(f"a JSON text has more than {most} objects and lists")
    if nests_too_deep(text):
        raise Malformed(f"the body nests deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(
            decoded,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"the body is not JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise Malformed(f"the body nests deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise Malformed(f"the body is not JSON that can be read: {error}") from None
    if b"\\u" in text:
        _refuse_unstorable(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_NAMES:
        raise TooLarge(f"an object has more than {MAX_NAMES} names")
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Malformed(f"the name {name[:80]!r} appears twice in one object")
            seen.add(name)
    return value


def _no_constant(name: str) -> float:
    raise Malformed(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Malformed(f"the number {text[:40]} is too large")
    return value


def _refuse_unstorable(value: Any) -> None:
    """Escapes can write what UTF-8 and databases can't hold."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Malformed("a string holds half of a surrogate pair") from None
    if "\\u0000" in text and _holds_nul(value):
        raise Malformed("a string holds NUL (\\u0000)")


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(name) or _holds_nul(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))
