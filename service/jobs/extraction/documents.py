"""One page as two parsers see it: lexbor, and Beautiful Soup on lxml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from bs4 import BeautifulSoup, Tag
from bs4.builder._lxml import LXMLTreeBuilder
from bs4.element import CData, NavigableString, RubyParenthesisString, RubyTextString
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

_CODE: Final = ("script", "style")
_PIECE_CHARS: Final = 2 * 1024
_NODES_PER_PAUSE: Final = 4_096
_LINKS: Final = frozenset({"a", "area"})

# Where a reader sees a gap although the source may have none.
_BLOCKS: Final = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "dialog",
        "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
        "h4", "h5", "h6", "header", "hr", "legend", "li", "main", "menu", "nav", "ol", "option",
        "p", "pre", "section", "summary", "table", "td", "th", "title", "tr", "ul",
    }
)  # fmt: skip
_ALL_BLOCKS: Final = ",".join(sorted(_BLOCKS))


class Document(Protocol):
    """A parsed page. An element is whatever the parser calls one; only its own document reads it.

    The order of calls matters: ``drop_code`` and ``spaced_text`` change the page for good.
    """

    def find(self, css: str) -> Sequence[Any]:
        """The elements that match, each once, in document order."""

    def key(self, element: Any) -> int:
        """What tells an element from the others."""

    def parent(self, element: Any) -> Any | None:
        """The element that holds it."""

    def previous(self, element: Any) -> Any | None:
        """The element before it that has the same parent."""

    def named(self, *tags: str) -> Sequence[Any]:
        """The elements of these names, in document order."""

    def title(self) -> Any | None:
        """The first title element that is not a picture's."""

    def tag(self, element: Any) -> str:
        """The element's name in lower case."""

    def attributes(self, element: Any) -> Mapping[str, Any]:
        """Values by name in lower case; what has no value is empty or None."""

    def text(self, element: Any) -> str:
        """The text in an element, as it is written, without that of scripts and styles in it."""

    def link_text(self, element: Any) -> str:
        """The text in a link, up to the next link: HTML has none in another."""

    def drop_code(self) -> None:
        """Remove scripts and styles."""

    def spaced_text(self) -> str:
        """The text of the body, with white space round what readers see as blocks."""

    def close(self) -> None:
        """Give the memory back. Nothing of the page can be used any more."""


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
        return self._page.css(",".join(tags))

    def title(self) -> LexborNode | None:
        return next(iter(self._page.css("title:not(svg title)")), None)

    def tag(self, element: LexborNode) -> str:
        return element.tag or ""

    def attributes(self, element: LexborNode) -> Mapping[str, Any]:
        return element.attributes

    def text(self, element: LexborNode) -> str:
        if self._has_code and element.tag not in _CODE and element.css_first("script,style"):
            element = element.clone()
            element.strip_tags(list(_CODE), recursive=True)
        return element.text()

    def link_text(self, element: LexborNode) -> str:
        return self.text(element)

    def is_deeper_than(self, levels: int) -> bool:
        """Whether an element is held by more than so many others."""
        return self._page.css_first("*" + ">*" * (levels + 1)) is not None

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

    def spaced_text(self) -> str:
        for block in self._page.css(_ALL_BLOCKS):
            block.insert_before(" ")
            block.insert_after(" ")
        body = self._page.css_first("body")
        return "" if body is None else body.text()

    def close(self) -> None:
        """Nothing to do: it goes with the last reference."""


class _InPieces(LXMLTreeBuilder):
    """Hands a page to lxml piece by piece, so that there is time to look at the clock."""

    def __init__(self, pause: Callable[[], None]) -> None:
        super().__init__(multi_valued_attributes=None)
        self._pause = pause

    def feed(self, markup: Any) -> None:
        self.parser = self.parser_for(self.soup.original_encoding if self.soup else None)
        for start in range(0, len(markup), _PIECE_CHARS):
            self._pause()
            self.parser.feed(markup[start : start + _PIECE_CHARS])
        self.parser.close()


class SoupDocument:
    """The page by Beautiful Soup, for those who know its reading of odd markup.

    Its own selectors take longer than its parser, so what every page is asked for is found by
    one walk over the tree.
    """

    # Text for readers: scripts, styles, comments and the like have types of their own.
    _TEXT: Final = (NavigableString, CData, RubyTextString, RubyParenthesisString)

    def __init__(self, html: str, pause: Callable[[], None] = lambda: None) -> None:
        """``pause`` is called while the page is parsed and walked over, and may raise."""
        self._pause = pause
        # Behind white space, XHTML and pages of one word do not look to it like XML or the name
        # of a file, which it would warn of.
        self._page = BeautifulSoup("\n " + html, builder=_InPieces(pause))
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
        return element.get_text() if element.name in _CODE else element.get_text(types=self._TEXT)

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
        for place, node in enumerate(root.descendants):
            if place % _NODES_PER_PAUSE == 0:
                self._pause()
            while within[-1] is not node.parent:
                if within.pop().name in _BLOCKS:
                    yield " "
            if isinstance(node, Tag):
                if node.name in _BLOCKS:
                    yield " "
                within.append(node)
            elif isinstance(node, NavigableString) and type(node) in self._TEXT:
                yield node

    def _in_order(self) -> dict[str, list[tuple[int, Tag]]]:
        """All elements by name, with their place in the document."""
        if self._order is None:
            self._order = {}
            for place, node in enumerate(self._page.descendants):
                if place % _NODES_PER_PAUSE == 0:
                    self._pause()
                if isinstance(node, Tag):
                    self._order.setdefault(node.name, []).append((place, node))
        return self._order


def value(attributes: Mapping[str, Any], name: str) -> str | None:
    """An attribute's value, empty for one that has none; None if it is not there."""
    return str(attributes[name] or "") if name in attributes else None
