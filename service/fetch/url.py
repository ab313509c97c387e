"""URLs as the guarded client understands them: parsed once, in one normal form.

The normal form is pure ASCII and is what libcurl gets, so that the parser that judged a URL
and the parser that dials it can't disagree about its host (the trick of most SSRF bypasses).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import idna

from service.errors import JobFailed
from service.fetch.address import AddressPolicy

MAX_URL_BYTES: Final = 8 * 1024
DEFAULT_PORT: Final = {"http": 80, "https": 443}

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#\\]*)([^?#]*)(\?[^#]*)?)?")
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?", re.ASCII)
_UNWRITABLE = re.compile(
    r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ud800-\udfff]"
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_LAST_LABEL_IS_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?", re.ASCII)
_DOT = re.compile(r"\.|%2e", re.IGNORECASE)

# What may stay as it is in a path or a query: RFC 3986's pchar, and % so that nothing is
# encoded twice.
_PATH_SAFE: Final = "/:@!$&'()*+,;=-._~%"
_QUERY_SAFE: Final = _PATH_SAFE + "?[]{}|^`"


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL in normal form, without userinfo and fragment."""

    scheme: str
    host: str  # a name, or an address in its canonical spelling, IPv6 without brackets
    port: int
    target: str  # path and query, percent-encoded

    @property
    def origin(self) -> str:
        """Scheme, host and, where it is not the scheme's own, port (RFC 6454)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORT[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_address(self) -> bool:
        """Whether the host is written as an address."""
        return ":" in self.host or _LAST_LABEL_IS_NUMBER.fullmatch(self.host) is not None

    def __str__(self) -> str:
        return self.origin + self.target


@lru_cache(maxsize=256)  # each is parsed several times in a row, by whoever gets it next
def parse_url(text: str) -> Url:
    """The URL in normal form.

    Raises JobFailed: ``bad_scheme`` for anything but http and https, ``bad_url`` for what is
    no URL, is longer than 8 KiB, carries userinfo or control characters, or has a host that
    can't be a name or an address.
    """
    if len(text) > MAX_URL_BYTES or len(text.encode("utf-8", "replace")) > MAX_URL_BYTES:
        raise _bad(f"the URL is longer than {MAX_URL_BYTES} bytes")
    if _UNWRITABLE.search(text):
        raise _bad("the URL contains spaces or control characters")
    match = _URL.match(text)
    if match is None:
        raise _bad("not an absolute URL: it must begin with http:// or https://")
    scheme = match[1].lower()
    if scheme not in DEFAULT_PORT:
        raise JobFailed("bad_scheme", "only http and https URLs are fetched")
    if match[2] is None:
        raise _bad("the URL has no host")
    host, port = _host_and_port(match[2], scheme)
    return Url(scheme, host, port, _target(match[3], match[4] or ""))


def check_target(url: Url, addresses: AddressPolicy) -> None:
    """Refuse what can be seen to be forbidden without asking DNS. Raises ``blocked_target``.

    A courtesy: the control is at the dialling, where the resolved address is known.
    """
    if not addresses.permits_port(url.port):
        raise JobFailed("blocked_target", f"port {url.port} is not allowed")
    if url.is_address and not addresses.permits_target(url.host, url.port):
        raise JobFailed("blocked_target", "the URL's address is not a public one")


@lru_cache(maxsize=256)  # pages come by the site
def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        raise _bad("the URL carries a user name or password")
    match = _HOST_AND_PORT.fullmatch(authority)
    if match is None:
        raise _bad("the URL's host or port is not valid")
    port = int(match[2]) if match[2] else DEFAULT_PORT[scheme]
    if not 1 <= port <= 65535:
        raise _bad("the URL's port is not between 1 and 65535")
    return _host(match[1]), port


def _host(text: str) -> str:
    if text.startswith("["):
        return _ipv6(text[1:-1])
    name = _ascii_name(text)
    if not name or len(name.rstrip(".")) > 253 or not _NAME.fullmatch(name):
        raise _bad("the URL's host is not valid")
    if _LAST_LABEL_IS_NUMBER.fullmatch(name):
        return str(_ipv4(name.removesuffix(".")))
    return name


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text)) if "%" not in text else _no_zone()
    except ValueError:
        raise _bad("the URL's IPv6 address is not valid") from None


def _no_zone() -> str:
    raise ValueError("zone identifiers mean something to this machine only")


def _ascii_name(text: str) -> str:
    """Percent-decoded, lower case, IDNs as A-labels (UTS 46)."""
    if "%" in text:
        text = unquote_to_bytes(text).decode("utf-8", "replace")
    if text.isascii():
        return text.lower()
    try:
        return idna.encode(text, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise _bad("the URL's host is not a valid internationalised name") from None


def _ipv4(text: str) -> IPv4Address:
    """Any spelling that inet_aton knows: ``2130706433``, ``0x7f.1``, ``0177.0.0.1``."""
    parts = text.split(".")
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        raise _bad("the URL's IPv4 address is not valid") from None
    last = numbers.pop()
    if len(parts) > 4 or any(n > 255 for n in numbers) or last >= 256 ** (4 - len(numbers)):
        raise _bad("the URL's IPv4 address is not valid")
    return IPv4Address(sum(n << (8 * (3 - i)) for i, n in enumerate(numbers)) + last)


def _number(text: str) -> int:
    if len(text) > 32:  # int() is quadratic
        raise ValueError(text)
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _target(path: str, query: str) -> str:
    path = quote(_without_dots(path.replace("\\", "/")) or "/", safe=_PATH_SAFE)
    return path + quote(query, safe=_QUERY_SAFE)


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, with ``%2e`` a dot as well: robots.txt must see the real path."""
    if "." not in path and "%2" not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        dots = _DOT.sub(".", segment) if len(segment) <= 6 else segment
        if dots == "..":
            kept = kept[:-1]
        elif dots != ".":
            kept.append(segment)
    if _DOT.sub(".", segments[-1]) in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _bad(detail: str) -> JobFailed:
    return JobFailed("bad_url", detail)
