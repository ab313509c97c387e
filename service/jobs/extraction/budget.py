"""How much CPU a page may cost: at most a second for each MB, whoever wrote the page.

A parser in C can't be interrupted. lexbor takes quadratic time for tags of any kind in a deep
tree (it walks up the open elements) and for different attributes on one tag (it compares them),
and quadratic memory for formatting elements that are never closed (HTML has it open all of them
again in each block: 42 KB of ``<s id=N><dd>`` become 1.6 GB). So the cost of a page is bounded
from above before it is parsed, by counting; the bound ignores end tags, which hostile markup
can fake. A page over its bound is not refused yet, it may be just long: it is parsed by growing
pieces, and each must have been cheap enough. lxml takes the page in pieces by itself.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

from service.errors import JobFailed

FLOOR_S: Final = 0.5
S_PER_CHAR: Final = 1e-6

# Measured with lexbor of selectolax 1.0, and half as much again or more: seconds for the square
# of tags, and of different attributes on one tag.
_S_PER_TAG_SQUARED: Final = 2.4e-9
_S_PER_STEP_UP: Final = 8e-9
_S_PER_ATTRIBUTE_SQUARED: Final = 3.2e-9

# Of the budget, what a piece of a deep page may take at worst. The pieces before it take half.
_PIECE_SHARE: Final = 0.4

# Browsers stop at 512 levels, and no real page comes near.
_DEEP: Final = 200

# An attribute takes a separator, and n different names are three characters long on average
# as soon as n is large.
_CHARS_PER_ATTRIBUTE: Final = 4

# What stays in HTML's list of active formatting elements until it is closed, and is opened
# again in every block; of equal ones three at most. (Of <a> and <nobr> there is one at most.)
_FORMATTING = re.compile(r"<(?i:b|big|code|em|font|i|s|small|strike|strong|tt|u)(?=[\s/>])[^>]*+")
_EQUAL_AT_MOST: Final = 3

# Elements that formatting may make of a page without further ado, and that each piece may add
# to the last: some 180 bytes each, so 60 and 16 MB, and more for long pages.
_CALM_ELEMENTS: Final = 350_000
_CALM_ELEMENTS_PER_CHAR: Final = 0.3
_ELEMENTS_PER_PIECE: Final = 90_000
_ELEMENTS_PER_PIECE_PER_CHAR: Final = 0.15
_FEWEST_TAGS_PER_PIECE: Final = 64

# A piece that takes longer has made elements by the hundred thousand. Real pages take a third.
_PIECE_S: Final = 0.05
_PIECE_S_PER_CHAR: Final = 6e-8

# Of all but the first of these the attributes are added to the first.
_GATHERING = re.compile(r"<(?i:html|body)[\s/]")
_GATHERING_AT_MOST: Final = 64

# A ">" inside a quoted value: the only way for a tag to reach past one.
_QUOTED_GT = re.compile(r"""=\s*+(?:"[^">]*+>|'[^'>]*+>)""")

_TAG = re.compile("<")
_TEMPLATE = re.compile("<(?i:template)")

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
    """As many start tags as the page may hold, and comments."""
    return html.count("<") - html.count("</")


class Parsed(Protocol):
    """A piece of a page, parsed."""

    def is_deeper_than(self, levels: int) -> bool:
        """Whether an element is held by more than so many others."""


def afford_lexbor(html: str, budget: Budget, parse: Callable[[str], Parsed]) -> None:
    """Return if ``parse(html)`` by lexbor stays in the budget. Raises ``parse_budget`` if not.

    The pieces may take half of the budget, and are cut so that what each adds should take less
    than the other half: a hostile page is found out before the whole is spent.
    """
    tags = html.count("<")
    calm, ends = _ends_by_formatting(html, tags)
    ends |= _ends_by_attributes(html, budget)
    tag_ends = _EndsByDepth(html, tags, budget)
    end = 0
    while end := min((one for one in (*ends, tag_ends.next()) if one > end), default=0):
        started = time.thread_time()
        tag_ends.learn(end, parse(html[:end] + _CLOSING))
        budget.check(share=0.5)
        if not calm and time.thread_time() - started > _PIECE_S + end * _PIECE_S_PER_CHAR:
            raise budget.spent()


class _EndsByDepth:
    """Where to cut a page next so that the walks up its open elements stay short.

    In a flat tree a piece can at worst become deep by itself; in one that is deep already every
    tag may walk all the way up.
    """

    def __init__(self, html: str, tags: int, budget: Budget) -> None:
        self._piece_s = budget.limit_s * _PIECE_SHARE
        self._flat = int((self._piece_s / _S_PER_TAG_SQUARED) ** 0.5)
        self._starts = [match.start() for match in _TAG.finditer(html)] if tags > self._flat else []
        # What templates hold is no part of the tree, so its depth says nothing of theirs.
        self._hides_depth = bool(self._starts) and len(_TEMPLATE.findall(html)) > _DEEP
        self._passed = 0

    def next(self) -> int:
        """0 for no more."""
        ahead = self._passed + self._flat
        return self._starts[ahead] if ahead < len(self._starts) else 0

    def learn(self, end: int, piece: Parsed) -> None:
        self._passed = bisect_left(self._starts, end)
        if self._passed and (self._hides_depth or piece.is_deeper_than(_DEEP)):
            walks = int(self._piece_s / (_S_PER_STEP_UP * self._passed))
            self._flat = max(_FEWEST_TAGS_PER_PIECE, min(self._flat, walks))


def _ends_by_attributes(html: str, budget: Budget) -> set[int]:
    at_most = int((budget.limit_s / 4 / _S_PER_ATTRIBUTE_SQUARED) ** 0.5)
    step = at_most * _CHARS_PER_ATTRIBUTE
    if len(html) <= step:
        return set()
    gathers = len(_GATHERING.findall(html)) > _GATHERING_AT_MOST or _may_hold_a_tag_of(step, html)
    return set(range(step, len(html), step)) if gathers else set()


def _ends_by_formatting(html: str, tags: int) -> tuple[bool, set[int]]:
    """Whether formatting can't make much of the page, and where to cut it if it can."""
    calm = _CALM_ELEMENTS + len(html) * _CALM_ELEMENTS_PER_CHAR
    if tags * tags / 4 <= calm:  # half of them formatting, the other half blocks
        return True, set()
    active = 2  # <a> and <nobr>
    for tag, count in Counter(_FORMATTING.findall(html)).items():
        quoted = "'" in tag or '"' in tag
        whole = not quoted or tag.count("'") % 2 == tag.count('"') % 2 == 0
        active += min(count, _EQUAL_AT_MOST) if whole else count
    if tags * active <= calm:
        return True, set()
    at_most = int(_ELEMENTS_PER_PIECE + len(html) * _ELEMENTS_PER_PIECE_PER_CHAR) // active
    return False, _every(max(_FEWEST_TAGS_PER_PIECE, at_most), html)


def _every(n: int, html: str) -> set[int]:
    """Where each n-th tag begins."""
    return {match.start() for match in islice(_TAG.finditer(html), n, None, n)}


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
