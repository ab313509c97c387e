"""A page as a parser sees it: what reading one needs of either parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

CODE: Final = ("script", "style")

# Where a reader sees a gap although the source may have none.
BLOCKS: Final = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "dialog",
        "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
        "h4", "h5", "h6", "header", "hr", "legend", "li", "main", "menu", "nav", "ol", "option",
        "p", "pre", "section", "summary", "table", "td", "th", "title", "tr", "ul",
    }
)  # fmt: skip


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


def value(attributes: Mapping[str, Any], name: str) -> str | None:
    """An attribute's value, empty for one that has none; None if it is not there."""
    return str(attributes[name] or "") if name in attributes else None
