"""Links of a page as absolute URLs."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

MAX_URL_CHARS: Final = 8 * 1024

# What a reader could follow. javascript: and data: are content, and a trap for whoever shows
# results as HTML.
_KEPT_SCHEMES: Final = frozenset({"http", "https", "ftp", "mailto", "tel"})

# A path below the base's own directory, with a fragment perhaps: no scheme, no dots to resolve,
# nothing to escape. Most links of most sites; looked at once, instead of six times.
_BELOW = re.compile(
    r"[A-Za-z0-9_~-][A-Za-z0-9_~.-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9_~.-]*)*(?:#[!-~]*)?"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
MAX_BELOW_CHARS: Final = 512
_BLANKS = re.compile(r"[\t\n\r]")
_EDGES: Final = "".join(map(chr, range(0x21)))  # C0 controls and space (WHATWG URL)
_START = re.compile(r"/|(?:\.\./)*")
_NOT_PLAIN: Final = ("", "/", "?", ".")


class Resolver:
    """Makes the hrefs of one page absolute (RFC 3986 section 5)."""

    def __init__(self, page_url: str, base_href: str | None = None) -> None:
        page_url = urldefrag(page_url).url
        self._base = self._base_url(page_url, base_href)
        self._directories: dict[str, str] = {}  # by the "/" or "../../" that a href begins with

    def absolute(self, href: str) -> str | None:
        """The absolute URL; None for what is no URL, no link to follow, or over 8 KiB."""
        if _BELOW.fullmatch(href) and len(href) < MAX_BELOW_CHARS:
            return self._directory("") + href
        href = href.strip(_EDGES)
        if _BLANKS.search(href):
            href = _BLANKS.sub("", href)
        if len(href) > MAX_URL_CHARS:
            return None
        url = self._joined(href)
        return url.replace(" ", "%20") if url is not None and len(url) <= MAX_URL_CHARS else None

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
