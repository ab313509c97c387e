"""The recipe: what a page's result holds, from either parser's document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from service.jobs.extraction.document import Document, value
from service.jobs.extraction.lexbor import LexborDocument
from service.jobs.extraction.links import Resolver
from service.jobs.extraction.selection import Pick, pick_all
from service.jobs.extraction.text import Capper, clean

if TYPE_CHECKING:  # it takes a reader as long to import as all the rest
    from pydantic import JsonValue

Part = Literal["title", "meta", "links", "headings", "text"]
Parser = Literal["lexbor", "beautifulsoup"]

MAX_TITLE_CHARS: Final = 512
MAX_DESCRIPTION_CHARS: Final = 2_048
MAX_LANGUAGE_CHARS: Final = 64
MAX_LINKS: Final = 1_000
MAX_LINKS_CHARS: Final = 512 * 1024  # of all URLs: a long base href multiplies
MAX_LINK_TEXT_CHARS: Final = 512
MAX_REL_CHARS: Final = 128
MAX_HEADINGS: Final = 500
MAX_HEADING_CHARS: Final = 512
MAX_META: Final = 200
MAX_META_NAME_CHARS: Final = 128
MAX_META_CHARS: Final = 4_096
MAX_TEXT_CHARS: Final = 200_000


class Request(NamedTuple):
    """What to read out of a page, and with which parser."""

    include: Sequence[Part]
    parser: Parser = "lexbor"
    select: Mapping[str, Pick] = {}


def extract(html: str | bytes, page_url: str, request: Request) -> dict[str, JsonValue]:
    """Everything of the result that is read from the page, and ``truncated``. ``html``: as text,
    or in UTF-8.

    Takes as long as it takes: a hostile page may take minutes and gigabytes, so only readers
    call this (see ``readers``), and tests.
    """
    reading = _Reading(document_of(request.parser)(html), page_url, request)
    try:
        return reading.result()
    finally:
        reading.close()


def document_of(parser: Parser) -> Callable[[str | bytes], Document]:
    """What makes a document of a page's text, or of that in UTF-8."""
    if parser == "lexbor":
        return LexborDocument
    from service.jobs.extraction.soup import SoupDocument  # few jobs need it

    return SoupDocument


class _Reading:
    """One page being read. The order of the steps matters: the later ones change the page."""

    def __init__(self, page: Document, page_url: str, request: Request) -> None:
        self._page = page
        self._request = request
        self._cap = Capper()
        self._page_url = page_url

    def result(self) -> dict[str, JsonValue]:
        selected = pick_all(self._page, self._request.select, self._cap)
        self._page.drop_code()
        self._resolver = Resolver(self._page_url, self._first_value("base", "href"))
        meta = self._meta()
        result: dict[str, JsonValue] = {
            "title": self._if_wanted("title", self._title, None),
            "description": self._description(meta),
            "canonical_url": self._canonical_url(),
            "language": self._language(),
            "headings": self._if_wanted("headings", self._headings, []),
            "links": self._if_wanted("links", self._links, []),
            "meta": dict(meta) if "meta" in self._request.include else {},
            "selected": selected,
        }
        if "text" in self._request.include:
            result["text"] = self._text()
        result["truncated"] = list(self._cap.truncated)
        return result

    def close(self) -> None:
        self._page.close()

    def _if_wanted(
        self, part: Part, read: Callable[[], JsonValue], otherwise: JsonValue
    ) -> JsonValue:
        return read() if part in self._request.include else otherwise

    def _first_value(self, tag: str, attribute: str) -> str | None:
        """The attribute of the first element of that name that has it."""
        for element in self._page.named(tag):
            found = value(self._page.attributes(element), attribute)
            if found is not None:
                return found
        return None

    def _title(self) -> str | None:
        element = self._page.title()
        if element is None:
            return None
        return self._cap.cut("title", self._page.text(element), MAX_TITLE_CHARS)

    def _description(self, meta: Mapping[str, str]) -> str | None:
        text = meta.get("description") or meta.get("og:description")
        return None if text is None else self._cap.cut("description", text, MAX_DESCRIPTION_CHARS)

    def _canonical_url(self) -> str | None:
        for element in self._page.named("link"):
            attributes = self._page.attributes(element)
            href = value(attributes, "href")
            if href is not None and "canonical" in (value(attributes, "rel") or "").lower().split():
                return self._resolver.absolute(href)
        return None

    def _language(self) -> str | None:
        language = self._first_value("html", "lang")
        return self._cap.cut("language", language, MAX_LANGUAGE_CHARS) if language else None

    def _headings(self) -> JsonValue:
        elements = self._page.named("h1", "h2", "h3", "h4", "h5", "h6")
        if len(elements) > MAX_HEADINGS:
            self._cap.note("headings")
        headings: list[JsonValue] = []
        for element in elements[:MAX_HEADINGS]:
            text = self._cap.cut("headings", self._page.text(element), MAX_HEADING_CHARS)
            headings.append({"level": int(self._page.tag(element)[1]), "text": text})
        return headings

    def _links(self) -> JsonValue:
        links: list[JsonValue] = []
        room = MAX_LINKS_CHARS
        page, absolute, cut = self._page, self._resolver.absolute, self._cap.cut
        for element in page.named("a", "area"):
            attributes = page.attributes(element)
            if "href" not in attributes:
                continue
            url = absolute(attributes["href"] or "")
            if url is None:
                continue
            room -= len(url)
            if len(links) == MAX_LINKS or room < 0:
                self._cap.note("links")
                break
            text = cut("links", page.link_text(element), MAX_LINK_TEXT_CHARS)
            rel = value(attributes, "rel")
            links.append({"url": url, "text": text, "rel": rel and clean(rel)[:MAX_REL_CHARS]})
        return links

    def _meta(self) -> dict[str, str]:
        """By name or property, lower case; the first of a name counts."""
        cap = self._cap if "meta" in self._request.include else Capper()
        meta: dict[str, str] = {}
        for element in self._page.named("meta"):
            attributes = self._page.attributes(element)
            content = value(attributes, "content")
            if content is None:
                continue
            name = value(attributes, "name") or value(attributes, "property")
            key = clean(name or "").lower()[:MAX_META_NAME_CHARS]
            if not key or key in meta:
                continue
            if len(meta) == MAX_META:
                cap.note("meta")
                break
            meta[key] = cap.cut("meta", content, MAX_META_CHARS)
        return meta

    def _text(self) -> str:
        return self._cap.cut("text", self._page.spaced_text(), MAX_TEXT_CHARS)
