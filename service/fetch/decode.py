"""Bytes of a page to text, as browsers agree on it."""

from __future__ import annotations

import codecs
import re
from typing import Final

import webencodings

_SNIFFED_BYTES: Final = 1024
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"<meta[\s/][^>]*", re.IGNORECASE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([^\s\"'/>;]+)", re.IGNORECASE)
_HEADER_CHARSET = re.compile(
    r";\s*charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;]+))", re.IGNORECASE
)


def decode(body: bytes, content_type: str | None = None) -> tuple[str, str]:
    """The text, and the name of the encoding it was read with.

    The order is BOM, then the header's label, then ``<meta>`` in the first 1,024 bytes, then
    UTF-8; what can't be decoded becomes U+FFFD. Only labels of the WHATWG Encoding Standard
    count: Python knows more, and some of those take quadratic time.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _decoded(body[len(bom) :], webencodings.lookup(name))
    encoding = _of_header(content_type) or _of_meta(body) or webencodings.UTF8
    return _decoded(body, encoding)


def _of_header(content_type: str | None) -> webencodings.Encoding | None:
    match = _HEADER_CHARSET.search(content_type or "")
    return webencodings.lookup(next(filter(None, match.groups()), "")) if match else None


def _of_meta(body: bytes) -> webencodings.Encoding | None:
    """The first ``<meta>`` that declares a label (HTML, prescan a byte stream)."""
    for meta in _META.findall(_COMMENT.sub(b"", body[:_SNIFFED_BYTES])):
        match = _CHARSET.search(meta)
        encoding = webencodings.lookup(match[1].decode("latin-1")) if match else None
        if encoding is not None:
            # A page whose <meta> could be read byte by byte is not UTF-16, whatever it says.
            return webencodings.UTF8 if encoding.name.startswith("utf-16") else encoding
    return None


def _decoded(body: bytes, encoding: webencodings.Encoding) -> tuple[str, str]:
    if encoding.name == "replacement":  # a label that is an attack: nothing of it is shown
        return "\ufffd" if body else "", encoding.name
    return encoding.codec_info.decode(body, "replace")[0], encoding.name
