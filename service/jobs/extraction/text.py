"""Text that is safe to store, log and show: NFC, no controls, one space between words."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Controls that are not white space, bidi controls (UAX 9), the byte order mark, interlinear
# annotation, lone surrogates.
_REMOVED: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def clean(text: str) -> str:
    """The text in NFC without control and bidi characters, white space collapsed."""
    if not text.isprintable():
        text = _REMOVED.sub("", text)
    text = " ".join(text.split())
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class Capper:
    """Cuts texts to their caps and remembers which fields it has cut."""

    def __init__(self) -> None:
        self.truncated: list[str] = []

    def cut(self, field: str, text: str, limit: int) -> str:
        """The clean text, at most ``limit`` characters of it."""
        text = clean(text)
        if len(text) <= limit:
            return text
        self.note(field)
        return text[:limit].rstrip()

    def note(self, field: str) -> None:
        """Name a field of which something was left out."""
        if field not in self.truncated:
            self.truncated.append(field)
