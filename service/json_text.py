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


def nests_too_deep(text: bytes) -> bool:
    """Whether JSON text nests deeper than MAX_DEPTH. For text that is no JSON: maybe."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
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
