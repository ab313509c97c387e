"""Picking out what the job's own selectors match."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import JsonValue

from service.jobs.extraction.budget import Budget, count_elements
from service.jobs.extraction.combinators import select as select_all
from service.jobs.extraction.combinators import taken_apart
from service.jobs.extraction.documents import Document, LexborDocument, value
from service.jobs.extraction.selectors import Selector, is_costly
from service.jobs.extraction.text import Capper

MAX_MATCHES: Final = 1_000
MAX_VALUE_CHARS: Final = 10_000
MAX_SELECTED_CHARS: Final = 512 * 1024  # of all values of a page

# Seconds to try one compound selector on one element, measured times two.
_S_PER_TRY: Final = {True: 2e-6, False: 20e-6}  # lexbor, soupsieve

# Seconds for lexbor to look from one element at another, measured times two. (soupsieve
# remembers what it has seen, and takes linear time.)
_S_PER_GLANCE: Final = 1.6e-8


def pick(
    page: Document,
    html: str,
    select: Mapping[str, Selector],
    cap: Capper,
    budget: Budget,
    pause: Callable[[], None],
) -> dict[str, JsonValue]:
    """What each selector matches: a value or null, or a list of values with ``all``.

    Raises JobFailed ``parse_budget`` before a costly selector meets a page that is too long
    for it, and whatever ``pause`` raises, which is called between values.
    """
    selected: dict[str, JsonValue] = {}
    room = MAX_SELECTED_CHARS
    for name, selector in select.items():
        pause()
        _afford(page, html, selector.css, budget)
        field = f"selected.{name}"
        values: list[JsonValue] = []
        for element in _wanted(select_all(page, selector.css, pause), selector, cap, field):
            pause()
            found = _found(page, element, selector.attr)
            if found is not None:
                found = cap.cut(field, found, min(MAX_VALUE_CHARS, room))
                room -= len(found)
            values.append(found)
        selected[name] = values if selector.all else next(iter(values), None)
    return selected


def _wanted(elements: Sequence[Any], selector: Selector, cap: Capper, field: str) -> Sequence[Any]:
    if selector.all and len(elements) > MAX_MATCHES:
        cap.note(field)
    return elements[: MAX_MATCHES if selector.all else 1]


def _found(page: Document, element: Any, attr: str | None) -> str | None:
    return page.text(element) if attr is None else value(page.attributes(element), attr.lower())


def _afford(page: Document, html: str, css: str, budget: Budget) -> None:
    tries = sum(map(len, taken_apart(css))) + css.count(":") + css.count("[")
    each_s = _S_PER_TRY[isinstance(page, LexborDocument)]
    if each_s * tries * count_elements(html) > budget.limit_s:
        raise budget.spent()
    if not isinstance(page, LexborDocument) or not is_costly(css):
        return
    each_s = _S_PER_GLANCE * css.count(":")
    if each_s * count_elements(html) ** 2 <= budget.limit_s / 2:
        return
    if each_s * page.count_glances() > budget.limit_s / 2:
        raise budget.spent()
