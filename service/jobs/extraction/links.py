"""Links of a page as absolute URLs."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

from service.jobs.extraction.text import clean

MAX_URL_CHARS: Final = 8 * 1024

# What a reader could follow. javascript: and data: are content, and a trap for whoever shows
# results as HTML.
_KEPT_SCHEMES: Final = frozenset({"http", "https", "ftp", "mailto", "tel"})

# A fragment, or a path from a directory that is known by the "/" or "../../" it begins with, and
# behind that no scheme, no dots to resolve, nothing to escape. Most links of most sites; looked
# at once, instead of six times.
_PLAIN = re.compile(
    r"(/|(?:\.\./)*)"
    r"[A-Za-z0-9_~-][A-Za-z0-9_~.-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9_~.-]*)*(?:#[!-~]*)?"
    r"|#[!-~]*"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BLANKS = re.compile(r"[\t\n\r]")
_EDGES: Final = "".join(map(chr, range(0x21)))  # C0 controls and space (WHATWG URL)
_START = re.compile(r"/|(?:\.\./)*")
_NOT_PLAIN: Final = ("", "/", "?", ".")


class Resolver:
    """Makes the hrefs of one page absolute (RFC 3986 section 5), each once."""

    def __init__(self, page_url: str, base_href: str | None = None) -> None:
        page_url = urldefrag(page_url).url
        self._base = self._base_url(page_url, base_href).replace(" ", "%20")
        self._directories: dict[str, str] = {}  # by the "/" or "../../" that a href begins with
        self._known: dict[str, str | None] = {}  # by href

    def absolute(self, href: str) -> str | None:
        """The absolute URL, clean; None for what is no URL, no link to follow, or over 8 KiB."""
        if href not in self._known:
            self._known[href] = self._resolved(href)
        return self._known[href]

    def _resolved(self, href: str) -> str | None:
        plain = _PLAIN.fullmatch(href)
        if plain is None:
            url = self._any(href)
        elif (start := plain[1]) is None:
            url = self._base + href
        else:
            url = self._directory(start) + href[len(start) :]
        if url is None or len(url) > MAX_URL_CHARS:
            return None
        return url if url.isascii() and url.isprintable() else clean(url)

    def _any(self, href: str) -> str | None:
        href = href.strip(_EDGES)
        if _BLANKS.search(href):
            href = _BLANKS.sub("", href)
        if len(href) > MAX_URL_CHARS:
            return None
        url = self._joined(href)
        return None if url is None else url.replace(" ", "%20")

    def _joined(self, href: str) -> str | None:
        """urljoin, but the plain cases by hand: it takes longer than all else of a link."""
        scheme = _SCHEME.match(href)
        if scheme is not None:
            return self._with_scheme(href, scheme[1].lower())
        if href.startswith("#"):
            return self._base + href
        start = _START.match(href)
        prefix = start[0] if start else ""
        rest = href[len(prefix) :]
        if rest[:1] in _NOT_PLAIN or "/." in rest or "\\" in rest:
            return self._carefully(href)
        return self._directory(prefix) + rest

    def _directory(self, prefix: str) -> str:
        known = self._directories.get(prefix)
        if known is None:
            known = self._directories[prefix] = urljoin(self._base, prefix or ".")
        return known

    def _with_scheme(self, href: str, scheme: str) -> str | None:
        if scheme not in _KEPT_SCHEMES:
            return None
        has_host = href[len(scheme) + 1 :].startswith("//")
        if scheme in ("http", "https") and (not has_host or "[" in href):
            return self._carefully(href)
        return href

    def _carefully(self, href: str) -> str | None:
        try:
            return urljoin(self._base, href.replace("\\", "/"))
        except ValueError:  # brackets that are no IPv6 address
            return None

    @staticmethod
    def _base_url(page_url: str, base_href: str | None) -> str:
        """HTML: the first base element counts, unless its URL is no page's."""
        if base_href is None or len(base_href) > MAX_URL_CHARS:
            return page_url
        try:
            base = urldefrag(urljoin(page_url, base_href.strip(_EDGES))).url
            usable = urlsplit(base).scheme in ("http", "https") and urlsplit(base).hostname
        except ValueError:
            return page_url
        return base if usable and len(base) <= MAX_URL_CHARS else page_url
