"""One page as two parsers see it: lexbor, and Beautiful Soup on lxml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from bs4 import BeautifulSoup, Tag
from bs4.element import CData, NavigableString, RubyParenthesisString, RubyTextString
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

_CODE: Final = ("script", "style")

# Where a reader sees a gap although the source may have none.
_BLOCKS: Final = (
    "address,article,aside,blockquote,br,caption,dd,details,dialog,div,dl,dt,fieldset,figcaption,"
    "figure,footer,form,h1,h2,h3,h4,h5,h6,header,hr,legend,li,main,menu,nav,ol,option,p,pre,"
    "section,summary,table,td,th,title,tr,ul"
)


class Document(Protocol):
    """A parsed page. An element is whatever the parser calls one; only its own document reads it.

    The order of calls matters: ``drop_code`` and ``space_out`` change the page for good.
    """

    def find(self, css: str) -> Sequence[Any]:
        """The elements that match, each once, in document order."""

    def tag(self, element: Any) -> str:
        """The element's name in lower case."""

    def attributes(self, element: Any) -> Mapping[str, Any]:
        """Values by name in lower case; what has no value is empty or None."""

    def text(self, element: Any) -> str:
        """The text in an element, as it is written, without that of scripts and styles in it."""

    def drop_code(self) -> None:
        """Remove scripts and styles."""

    def space_out(self) -> None:
        """Put white space round what readers see as blocks."""


class LexborDocument:
    """The page by lexbor: a browser's reading of it, at a fiftieth of Beautiful Soup's time."""

    def __init__(self, html: str) -> None:
        self._page = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS)
        self._has_code = True

    def find(self, css: str) -> Sequence[LexborNode]:
        elements = self._page.css(css)
        if "," not in css:
            return elements
        # A list of selectors gives an element once for each that it matches.
        return list({element.mem_id: element for element in elements}.values())

    def tag(self, element: LexborNode) -> str:
        return element.tag or ""

    def attributes(self, element: LexborNode) -> Mapping[str, Any]:
        return element.attributes

    def text(self, element: LexborNode) -> str:
        if self._has_code and element.tag not in _CODE and element.css_first("script,style"):
            element = element.clone()
            element.strip_tags(list(_CODE), recursive=True)
        return element.text()

    def count_glances(self) -> int:
        """How often a selector may look from one element at another, siblings and descendants."""
        depths: dict[int | None, int] = {None: 0}
        families: Counter[int | None] = Counter()
        glances = 0
        for element in self._page.css("*"):
            parent = element.parent.mem_id if element.parent is not None else None
            depth = depths[element.mem_id] = depths.get(parent, 0) + 1
            families[parent] += 1
            glances += families[parent] + 2 * depth
        return glances

    def drop_code(self) -> None:
        self._page.strip_tags(list(_CODE), recursive=True)
        self._has_code = False

    def space_out(self) -> None:
        for block in self._page.css(_BLOCKS):
            block.insert_before(" ")
            block.insert_after(" ")


class SoupDocument:
    """The page by Beautiful Soup, for those who know its reading of odd markup."""

    _TEXT: Final = (NavigableString, CData, RubyTextString, RubyParenthesisString)

    def __init__(self, html: str) -> None:
        self._page = BeautifulSoup(html, "lxml", multi_valued_attributes=None)
        # Their content is no part of the page (HTML, 4.12.3), and lexbor keeps it apart.
        _remove(self._page.find_all("template"))

    def find(self, css: str) -> Sequence[Tag]:
        return self._page.select(css)

    def tag(self, element: Tag) -> str:
        return element.name.lower()

    def attributes(self, element: Tag) -> Mapping[str, Any]:
        return element.attrs

    def text(self, element: Tag) -> str:
        return element.get_text() if element.name in _CODE else element.get_text(types=self._TEXT)

    def drop_code(self) -> None:
        _remove(self._page.find_all(_CODE))

    def space_out(self) -> None:
        for block in self._page.select(_BLOCKS):
            block.insert_before(" ")
            block.insert_after(" ")


def value(attributes: Mapping[str, Any], name: str) -> str | None:
    """An attribute's value, empty for one that has none; None if it is not there."""
    return str(attributes[name] or "") if name in attributes else None


def _remove(tags: Iterable[Any]) -> None:
    for tag in tags:
        if not tag.decomposed:  # with one that held it
            tag.decompose()
