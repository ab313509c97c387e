"""Picking out what the job's own selectors match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from service.jobs.extraction.combinators import select as select_all
from service.jobs.extraction.document import Document, value
from service.jobs.extraction.text import Capper

if TYPE_CHECKING:  # it takes a reader as long to import as all the rest
    from pydantic import JsonValue

MAX_MATCHES: Final = 1_000
MAX_VALUE_CHARS: Final = 10_000
MAX_SELECTED_CHARS: Final = 512 * 1024  # of all values of a page


class Pick(NamedTuple):
    """What to take of a selector's matches: the first or all, their text or an attribute."""

    css: str
    attr: str | None = None
    all: bool = False


def pick_all(page: Document, select: Mapping[str, Pick], cap: Capper) -> dict[str, JsonValue]:
    """What each selector matches: a value or null, or a list of values with ``all``."""
    selected: dict[str, JsonValue] = {}
    room = MAX_SELECTED_CHARS
    for name, selector in select.items():
        field = f"selected.{name}"
        values: list[JsonValue] = []
        for element in _wanted(select_all(page, selector.css), selector, cap, field):
            found = _found(page, element, selector.attr)
            if found is not None:
                found = cap.cut(field, found, min(MAX_VALUE_CHARS, room))
                room -= len(found)
            values.append(found)
        selected[name] = values if selector.all else next(iter(values), None)
    return selected


def _wanted(elements: Sequence[Any], selector: Pick, cap: Capper, field: str) -> Sequence[Any]:
    if selector.all and len(elements) > MAX_MATCHES:
        cap.note(field)
    return elements[: MAX_MATCHES if selector.all else 1]


def _found(page: Document, element: Any, attr: str | None) -> str | None:
    return page.text(element) if attr is None else value(page.attributes(element), attr.lower())
