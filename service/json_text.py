"""What is asked of JSON texts: that they do not nest too deep, and stand on one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 64
"""Levels of nesting that are taken from clients and from job types."""

# what str.splitlines and others take for the end of a line, and JSON need not escape
_LINE_ENDS = re.compile("[\u0085\u2028\u2029]")

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))


def nests_too_deep(text: bytes) -> bool:
    """Whether JSON text nests deeper than MAX_DEPTH. For text that is no JSON: maybe."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    bare = re.sub(rb"\\.", b"", text) if b"\\" in text else text
    bare = bare.translate(None, delete=_NOT_STRUCTURE)
    bare = re.sub(rb'"[^"]*"', b"", bare)
    for _ in range(MAX_DEPTH):
        bare = re.sub(rb"\[\]|\{\}", b"", bare)  # peels a level off, everywhere
    # brackets that do not match are left over too; a parser explains those better
    return bool(bare) and all(
        bare.count(a) == bare.count(b) for a, b in ((b"[", b"]"), (b"{", b"}"))
    )


def value_nests_too_deep(value: Any) -> bool:
    """The same of a value that is JSON already."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Iterable[Any]:
    """What is nested in it and may nest further."""
    if isinstance(value, dict):
        inside: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple):
        inside = value
    else:
        return ()
    return [part for part in inside if isinstance(part, dict | list | tuple)]


def one_line(text: str) -> str:
    """The same JSON, on one line for whoever splits it into lines."""
    if text.isascii():
        return text
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
