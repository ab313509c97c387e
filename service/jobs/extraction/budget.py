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
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from service.errors import JobFailed

FLOOR_S: Final = 0.5
S_PER_CHAR: Final = 1e-6

# Measured with lexbor of selectolax 1.0, times two: seconds for the square of nested start
# tags, and of different attributes on one tag.
_S_PER_NESTED_SQUARED: Final = 3.4e-9
_S_PER_ATTRIBUTE_SQUARED: Final = 3.2e-9

# An attribute takes a separator, and n different names are three characters long on average
# as soon as n is large.
_CHARS_PER_ATTRIBUTE: Final = 4

# Seconds for each element by Beautiful Soup, which is linear but slow.
_SOUP_S_PER_ELEMENT: Final = 15e-6

# A ">" inside a quoted value: the only way for a tag to reach past one.
_QUOTED_GT = re.compile(r"""=\s*+(?:"[^">]*+>|'[^'>]*+>)""")

_START = re.compile("<(?!/)")

# Closes whatever tag is open at the end of a piece: in no quotes, in single or in double ones.
_CLOSING: Final = "'\">"


class Budget:
    """The CPU time that this thread may still spend on a page."""

    def __init__(self, chars: int) -> None:
        self.limit_s = max(FLOOR_S, chars * S_PER_CHAR)
        self._started = time.thread_time()

    def check(self, share: float = 1.0) -> None:
        """Raise JobFailed ``parse_budget`` when it, or the share of it, is spent."""
        if time.thread_time() - self._started > self.limit_s * share:
            raise self.spent()

    def spent(self) -> JobFailed:
        """The failure to raise for what would cost too much."""
        return JobFailed(
            "parse_budget", f"reading the page takes more than {self.limit_s:.1f} s of CPU time"
        )


def count_elements(html: str) -> int:
    """No parser makes more elements of the page than about this."""
    return html.count("<") - html.count("</")


def afford_soup(html: str, budget: Budget) -> None:
    """Return if Beautiful Soup can read the page in the budget. Raises ``parse_budget`` if not."""
    if count_elements(html) * _SOUP_S_PER_ELEMENT > budget.limit_s:
        raise budget.spent()


def afford_lexbor(html: str, budget: Budget, parse: Callable[[str], object]) -> None:
    """Return if ``parse(html)`` by lexbor stays in the budget. Raises ``parse_budget`` if not.

    The pieces may take half of the budget, and are cut so that what each adds should take no
    more than a quarter: a hostile page is found out before the whole is spent.
    """
    share_s = budget.limit_s / 4
    nested_at_most = int((share_s / _S_PER_NESTED_SQUARED) ** 0.5)
    attributes_at_most = int((share_s / _S_PER_ATTRIBUTE_SQUARED) ** 0.5)
    ends: set[int] = set()
    if count_elements(html) > nested_at_most:
        ends.update(match.start() for match in _every(nested_at_most, html))
    step = attributes_at_most * _CHARS_PER_ATTRIBUTE
    if _may_hold_a_tag_of(step, html):
        ends.update(range(step, len(html), step))
    for end in sorted(ends):
        parse(html[:end] + _CLOSING)
        budget.check(share=0.5)


def _every(n: int, html: str) -> Iterator[re.Match[str]]:
    """Each n-th start tag."""
    return islice(_START.finditer(html), n, None, n)


def _may_hold_a_tag_of(chars: int, html: str) -> bool:
    """Whether some tag may be that long. In doubt yes."""
    if len(html) < chars:
        return False
    # A tag ends at the first ">" that is in no quotes, so it spans as many gaps between them
    # as there are quoted ones, and one more.
    gap = chars // (1 + len(_QUOTED_GT.findall(html)))
    start = 0
    while len(html) - start > gap:
        end = html.rfind(">", start, start + gap + 1)
        if end < 0:
            return True
        start = end + 1
    return False
