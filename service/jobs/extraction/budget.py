"""How much CPU a page may cost: at most a second for each MB, whoever wrote the page.

A parser in C can't be interrupted. lexbor takes quadratic time for two things: elements nested
in each other (it walks up the open ones) and different attributes on one tag (it compares
them). So the cost of a page is bounded from above before it is parsed, by counting; the bound
ignores end tags, which hostile markup can fake. A page over its bound is not refused yet, it
may be just long: it is parsed by growing pieces, and each must have been cheap enough.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from heapq import nlargest
from typing import Final

from service.errors import JobFailed

FLOOR_S: Final = 1.0
S_PER_CHAR: Final = 1e-6

# Measured with lexbor of selectolax 1.0, times two: seconds for the square of nested start
# tags, and of different attributes on one tag.
_S_PER_NESTED_SQUARED: Final = 3.4e-9
_S_PER_ATTRIBUTE_SQUARED: Final = 3.2e-9

# An attribute takes a separator, and n different names are three characters long on average
# as soon as n is large.
_CHARS_PER_ATTRIBUTE: Final = 4

# Steps so small that the worst piece overshoots the budget by about a quarter of a second.
_STEP_TAGS: Final = 8_000
_STEP_CHARS: Final = 32_000

# A ">" inside a quoted value: the only way for a tag to reach past one.
_QUOTED_GT = re.compile(r"""=\s*+(?:"[^">]*+>|'[^'>]*+>)""")

# Closes whatever tag is open at the end of a piece: in no quotes, in single or in double ones.
_CLOSING: Final = "'\">"


class Budget:
    """The CPU time that this thread may still spend on a page."""

    def __init__(self, chars: int) -> None:
        self.limit_s = max(FLOOR_S, chars * S_PER_CHAR)
        self._started = time.thread_time()

    def check(self) -> None:
        """Raise JobFailed ``parse_budget`` when it is spent."""
        if time.thread_time() - self._started > self.limit_s:
            raise self.spent()

    def spent(self) -> JobFailed:
        """The failure to raise for what would cost too much."""
        return JobFailed(
            "parse_budget", f"reading the page takes more than {self.limit_s:.1f} s of CPU time"
        )


def cost_bound_s(html: str) -> float:
    """No parse of the page by lexbor takes longer than about this, end tags ignored."""
    nested = html.count("<") - html.count("</")
    attributes = _longest_tag(html) / _CHARS_PER_ATTRIBUTE
    return _S_PER_NESTED_SQUARED * nested**2 + _S_PER_ATTRIBUTE_SQUARED * attributes**2


def parse_within(html: str, budget: Budget, parse: Callable[[str], object]) -> None:
    """Return if ``parse(html)`` will stay in the budget. Raises ``parse_budget`` if not."""
    if cost_bound_s(html) <= budget.limit_s / 2:
        return
    for end in _piece_ends(html):
        parse(html[:end] + _CLOSING)
        budget.check()


def _longest_tag(html: str) -> int:
    """Characters of the longest thing that could be a tag, from above."""
    gaps = [len(gap) for gap in html.split(">")]
    reach = 1 + len(_QUOTED_GT.findall(html))
    return sum(nlargest(reach, gaps)) if reach < len(gaps) else len(html)


def _piece_ends(html: str) -> list[int]:
    """Where to cut, so that each piece adds a bounded number of tags and characters."""
    ends: list[int] = []
    tags, last = 0, 0
    for start in re.finditer("<(?!/)", html):
        tags += 1
        while start.start() - last > _STEP_CHARS:
            last += _STEP_CHARS
            ends.append(last)
            tags = 0
        if tags >= _STEP_TAGS:
            last, tags = start.start(), 0
            ends.append(last)
    ends.extend(range(last + _STEP_CHARS, len(html), _STEP_CHARS))
    return ends
