"""A page by lexbor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode, SelectolaxError

from service.jobs.extraction.document import BLOCKS, CODE

_ALL_BLOCKS: Final = ",".join(sorted(BLOCKS))

# What a page is asked for one by one and has little of. Finding one takes a walk over the whole
# tree, and finding all of them not much more.
_RARE: Final = ("base", "html", "link", "meta", "title")


class LexborDocument:
    """The page by lexbor: a browser's reading of it, at a fiftieth of Beautiful Soup's time."""

    def __init__(self, html: str | bytes) -> None:
        """``html``: as text, or in UTF-8, which is what lexbor reads."""
        try:
            self._page = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS)
        except SelectolaxError:  # it takes any page, and says so when it gets no memory
            raise MemoryError from None
        self._has_code = True
        self._rare: dict[str, list[LexborNode]] = {}

    def find(self, css: str) -> Sequence[LexborNode]:
        elements = self._page.css(css)
        if "," not in css:
            return elements
        # A list of selectors gives an element once for each that it matches.
        return list({element.mem_id: element for element in elements}.values())

    def key(self, element: LexborNode) -> int:
        return element.mem_id

    def parent(self, element: LexborNode) -> LexborNode | None:
        return element.parent

    def previous(self, element: LexborNode) -> LexborNode | None:
        before = element.prev
        while before is not None and not before.is_element_node:
            before = before.prev
        return before

    def named(self, *tags: str) -> Sequence[LexborNode]:
        if self._has_code or tags[0] not in _RARE:  # with code its elements may go, too
            return self._page.css(",".join(tags))
        if not self._rare:
            self._rare = {tag: [] for tag in _RARE}
            for element in self._page.css(",".join(_RARE)):
                self._rare[self.tag(element)].append(element)
        return self._rare[tags[0]]

    def title(self) -> LexborNode | None:
        first = next(iter(self.named("title")), None)
        if first is None or (first.parent is not None and first.parent.tag == "head"):
            return first
        return next(iter(self._page.css("title:not(svg title)")), None)

    def tag(self, element: LexborNode) -> str:
        return element.tag or ""

    def attributes(self, element: LexborNode) -> Mapping[str, Any]:
        return element.attributes

    def text(self, element: LexborNode) -> str:
        if not self._has_code:
            return element.text()
        if element.tag not in CODE and element.css_first("script,style"):
            element = element.clone()
            element.strip_tags(list(CODE), recursive=True)
        return element.text()

    link_text = text

    def drop_code(self) -> None:
        self._page.strip_tags(list(CODE), recursive=True)
        self._has_code = False

    def spaced_text(self) -> str:
        for block in self._page.css(_ALL_BLOCKS):
            block.insert_before(" ")
            block.insert_after(" ")
        body = self._page.css_first("body")
        return "" if body is None else body.text()

    def close(self) -> None:
        """Nothing to do: it goes with the last reference."""
