"""The encoding that a page declares in its first bytes (HTML, prescan a byte stream)."""

from __future__ import annotations

import re
from typing import Final

import webencodings

SNIFFED_BYTES: Final = 1024

# White space of HTML: regular expressions' own has the vertical tab as well.
_COMMENT = re.compile(rb"<!(?=--).*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(rb"<(/?[A-Za-z][^\t\n\f\r />]*)")
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*+([^\t\n\f\r />][^\t\n\f\r />=]*+)"
    rb"(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"([^\"]*+)\"|'([^']*+)'|([^\t\n\f\r >\"'][^\t\n\f\r >]*+)?))?"
)
_CONTENT_CHARSET = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*))",
    re.IGNORECASE,
)
_XML = re.compile(rb"<\?xml[^>]*?encoding[\x00-\x20]*=[\x00-\x20]*(?:\"([^\">]*)\"|'([^'>]*)')")


def declared_encoding(body: bytes) -> webencodings.Encoding | None:
    """The first ``<meta>`` that declares an encoding, or else the XML declaration."""
    head = body[:SNIFFED_BYTES]
    position = 0
    while (start := head.find(b"<", position)) >= 0:
        comment, tag = _COMMENT.match(head, start), _TAG.match(head, start)
        if comment:
            position = comment.end()
        elif tag:
            attributes, position = _attributes(head, tag.end())
            encoding = _of_meta(attributes) if tag[1].lower() == b"meta" else None
            if encoding is not None:
                return encoding
        elif head[start + 1 : start + 2] in (b"!", b"/", b"?"):
            position = (head.find(b">", start) + 1) or len(head)
        else:
            position = start + 1
    return _of_xml(head)


def _attributes(head: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """A tag's attributes, the first of a name counts, and where they end."""
    attributes: dict[bytes, bytes] = {}
    while match := _ATTRIBUTE.match(head, position):
        value = match[2] or match[3] or match[4] or b""
        attributes.setdefault(match[1].lower(), value)
        position = match.end()
    return attributes, position


def _of_meta(attributes: dict[bytes, bytes]) -> webencodings.Encoding | None:
    """What one ``<meta>`` declares: by ``charset``, or by ``http-equiv`` and ``content``."""
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", b"").lower() == b"content-type":
        match = _CONTENT_CHARSET.search(attributes.get(b"content", b""))
        label = (
            next((group for group in match.groups() if group is not None), b"") if match else b""
        )
    return _readable(label or b"")


def _of_xml(head: bytes) -> webencodings.Encoding | None:
    if head.startswith((b"<\x00?\x00x\x00", b"\x00<\x00?\x00x")):
        return webencodings.lookup("utf-16le" if head[0] else "utf-16be")
    match = _XML.match(head)
    return _readable(match[1] or match[2] or b"") if match else None


def _readable(label: bytes) -> webencodings.Encoding | None:
    """The label's encoding, but for what it can't be if the label itself could be read."""
    encoding = webencodings.lookup(label.decode("latin-1"))
    if encoding is None:
        return None
    if encoding.name.startswith("utf-16"):
        return webencodings.UTF8
    if encoding.name == "x-user-defined":
        return webencodings.lookup("windows-1252")
    return encoding
