"""One page read with both parsers, field by field."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from service.fetch.decode import decode
from service.jobs.extraction.extract import Parser, Part, Request, extract
from service.jobs.extraction.readers import FLOOR_S, S_PER_BYTE

FIELDS: Final = (
    "title", "description", "canonical_url", "language", "links", "headings", "meta", "text",
    "truncated",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the parsers made of a page. ``cpu_s`` is by parser."""

    path: Path
    size: int
    charset: str
    refused: tuple[Parser, ...]  # over the parse budget, so there is nothing to compare
    differences: Mapping[str, str]  # by field, shown at the first place
    cpu_s: Mapping[Parser, float]


def compare(path: Path) -> Comparison:
    """Read the page as if it had been fetched without a Content-Type header."""
    body = path.read_bytes()
    html, charset = decode(body)
    results: dict[Parser, dict[str, Any]] = {}
    cpu_s: dict[Parser, float] = {}
    for parser in get_args(Parser):
        started = time.thread_time()
        request = Request(get_args(Part), parser)
        results[parser] = extract(html, f"https://docs.example/a/{path.name}", request)
        cpu_s[parser] = time.thread_time() - started
    limit_s = max(FLOOR_S, len(body) * S_PER_BYTE)
    refused = tuple(parser for parser in get_args(Parser) if cpu_s[parser] > limit_s)
    differences: dict[str, str] = {}
    if not refused:
        one, other = results.values()
        for name in FIELDS:
            if one.get(name) != other.get(name):
                differences[name] = _first_difference(one.get(name), other.get(name))
    return Comparison(path, len(body), charset, refused, differences, cpu_s)


def _first_difference(one: Any, other: Any) -> str:
    """``lexbor's | Beautiful Soup's``, from just before they part."""
    if type(one) is type(other) and isinstance(one, str | list):
        same = sum(1 for _ in _common(one, other))
        around = slice(max(0, same - 30), same + 40) if isinstance(one, str) else same
        if isinstance(around, int):
            return f"[{same}] {one[same : same + 1]} | {other[same : same + 1]}"
        return f"[{same}] {one[around]!r} | {other[around]!r}"
    return f"{one!r} | {other!r}"


def _common(one: Any, other: Any) -> Any:
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return
        yield mine
