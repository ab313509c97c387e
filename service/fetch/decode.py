"""Bytes of a page to text, as browsers agree on it (WHATWG HTML and Encoding Standards)."""

from __future__ import annotations

import codecs
import re
from typing import Final

import webencodings

from service.fetch.prescan import declared_encoding
from service.fetch.whatwg_codecs import decoded

_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_HEADER_CHARSET = re.compile(
    r";\s*charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;]+))", re.IGNORECASE
)


def decode(body: bytes, content_type: str | None = None) -> tuple[str, str]:
    """The text, and the name of the encoding it was read with.

    The order is BOM, then the header's label, then ``<meta>`` (or the XML declaration) in the
    first 1,024 bytes, then UTF-8; what can't be decoded becomes U+FFFD. Only labels of the
    WHATWG Encoding Standard count: Python knows more, and some of those take quadratic time.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return decoded(body[len(bom) :], name), name
    encoding = _of_header(content_type) or declared_encoding(body) or webencodings.UTF8
    return decoded(body, encoding.name), encoding.name


def _of_header(content_type: str | None) -> webencodings.Encoding | None:
    match = _HEADER_CHARSET.search(content_type or "")
    return webencodings.lookup(next(filter(None, match.groups()), "")) if match else None
