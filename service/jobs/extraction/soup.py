"""A page by Beautiful Soup on lxml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bs4 import BeautifulSoup, Tag
from bs4.element import CData, NavigableString, RubyParenthesisString, RubyTextString

from service.jobs.extraction.document import BLOCKS, CODE

_LINKS: Final = frozenset({"a", "area"})


class SoupDocument:
    """The page by Beautiful Soup, for those who know its reading of odd markup.

    Its own selectors take longer than its parser, so what every page is asked for is found by
    one walk over the tree.
    """

    # Text for readers: scripts, styles, comments and the like have types of their own.
    _TEXT: Final = (NavigableString, CData, RubyTextString, RubyParenthesisString)

    def __init__(self, html: str | bytes) -> None:
        if isinstance(html, bytes):
            html = html.decode()
        # Behind white space, XHTML and pages of one word do not look to it like XML or the name
        # of a file, which it would warn of.
        self._page = BeautifulSoup("\n " + html, "lxml", multi_valued_attributes=None)
        # Their content is no part of the page (HTML, 4.12.3), and lexbor keeps it apart.
        for template in self._page.find_all("template"):
            if not template.decomposed:  # with one that held it
                template.decompose()
        self._order: dict[str, list[tuple[int, Tag]]] | None = None

    def find(self, css: str) -> Sequence[Tag]:
        return self._page.select(css)

    def key(self, element: Tag) -> int:
        return id(element)  # the tree holds it as long as the document lives

    def parent(self, element: Tag) -> Tag | None:
        return element.parent

    def previous(self, element: Tag) -> Tag | None:
        before = element.previous_sibling
        while before is not None and not isinstance(before, Tag):
            before = before.previous_sibling
        return before

    def named(self, *tags: str) -> Sequence[Tag]:
        order = self._in_order()
        found = [place for tag in tags for place in order.get(tag, ())]
        if len(tags) > 1:
            found.sort(key=lambda place: place[0])
        return [element for _, element in found]

    def title(self) -> Tag | None:
        return next((one for one in self.named("title") if one.find_parent("svg") is None), None)

    def tag(self, element: Tag) -> str:
        return element.name.lower()

    def attributes(self, element: Tag) -> Mapping[str, Any]:
        return element.attrs

    def text(self, element: Tag) -> str:
        return element.get_text() if element.name in CODE else element.get_text(types=self._TEXT)

    def link_text(self, element: Tag) -> str:
        pieces: list[str] = []
        for node in element.descendants:
            if isinstance(node, Tag):
                if node.name in _LINKS and "href" in node.attrs:
                    break
            elif isinstance(node, NavigableString) and type(node) in self._TEXT:
                pieces.append(node)
        return "".join(pieces)

    def drop_code(self) -> None:
        """Nothing to do: lxml keeps no elements in them, and ``text`` knows their text."""

    def spaced_text(self) -> str:
        body = next(iter(self.named("body")), None)
        return "" if body is None else "".join(self._spaced(body))

    def close(self) -> None:
        """Cut its cycles: left to the garbage collector, they cost another page its budget."""
        self._order = None
        for root in list(self._page.contents):
            root.decompose()

    def _spaced(self, root: Tag) -> Iterator[str]:
        within = [root]
        for node in root.descendants:
            while within[-1] is not node.parent:
                if within.pop().name in BLOCKS:
                    yield " "
            if isinstance(node, Tag):
                if node.name in BLOCKS:
                    yield " "
                within.append(node)
            elif isinstance(node, NavigableString) and type(node) in self._TEXT:
                yield node

    def _in_order(self) -> dict[str, list[tuple[int, Tag]]]:
        """All elements by name, with their place in the document."""
        if self._order is None:
            self._order = {}
            for place, node in enumerate(self._page.descendants):
                if isinstance(node, Tag):
                    self._order.setdefault(node.name, []).append((place, node))
        return self._order
