"""JSON texts: how they are written fast, that they do not nest too deep and stand on one line."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

MAX_DEPTH = 64
"""Levels of nesting that are taken from clients and from job types."""

# what str.splitlines and others take for the end of a line, and JSON need not escape
_LINE_ENDS: Final = ("\u0085", "\u2028", "\u2029")

_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))


def compact(value: Any) -> str:
    """What was read from JSON, or is made of the like, as JSON without blanks."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # JSON knows numbers and characters that orjson does not
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_PLAIN: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def strict(value: Any) -> str:
    """Any value as JSON without blanks. Raises TypeError, ValueError or RecursionError for one
    that JSON has no words for, be it NaN."""
    try:
        text = orjson.dumps(value, option=_PLAIN)
        if b"null" not in text:  # orjson's word for NaN, too
            return text.decode()
    except TypeError:
        pass
    return _encode(value)


def nests_too_deep(text: bytes) -> bool:
    """Whether JSON text nests deeper than MAX_DEPTH. For text that is no JSON: maybe."""
    if len(text) <= MAX_DEPTH or text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    bare = re.sub(rb"\\.", b"", text) if b"\\" in text else text
    bare = bare.translate(_BRACKETS, _NOT_STRUCTURE)
    bare = bare.replace(b'""', b"")  # most strings have no brackets in them
    if b'"' in bare:
        bare = re.sub(rb'"[^"]*"', b"", bare)
    for _ in range(MAX_DEPTH):
        bare = bare.replace(b"[]", b"")  # peels a level off, everywhere
        if not bare:
            return False
    # brackets that do not match are left over too; a parser explains those better
    return bare.count(b"[") == bare.count(b"]")


def one_line(text: str) -> str:
    """The same JSON, on one line for whoever splits it into lines."""
    if text.isascii():
        return text
    for end in _LINE_ENDS:
        if end in text:
            text = text.replace(end, f"\\u{ord(end):04x}")
    return text
