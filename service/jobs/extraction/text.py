"""Text that is safe to store, log and show: NFC, no controls, one space between words."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

# Controls that are not white space, bidi controls (UAX 9), the byte order mark, interlinear
# annotation, lone surrogates.
_REMOVED: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


# Putting a run of combining characters in order takes time by the square of its length. No
# language needs more than these on a letter (UAX 15, stream-safe text).
MAX_COMBINING: Final = 30


def clean(text: str) -> str:
    """The text in NFC without control and bidi characters, white space collapsed.

    Of more than 30 combining characters in a row only the first 30 stay.
    """
    printable = text.isprintable()
    if printable and text.isascii() and "  " not in text and text == text.strip():
        return text  # words with single spaces between them, like most texts of most pages
    if not printable:
        text = _REMOVED.sub("", text)
    text = " ".join(text.split())
    if text.isascii():
        return text
    if len(text) > MAX_COMBINING:
        text = _too_many_combining().sub(r"\1", text)
    return unicodedata.normalize("NFC", text)


@cache
def _too_many_combining() -> re.Pattern[str]:
    """More of them in a row than are kept, which are its first group. Takes 20 ms to make."""
    ranges = "".join(f"{chr(first)}-{chr(last)}" for first, last in _combining_ranges())
    return re.compile(f"([{ranges}]{{{MAX_COMBINING}}})[{ranges}]+")


def _combining_ranges() -> list[tuple[int, int]]:
    """All characters that NFC may move, or take apart into such."""
    ranges: list[tuple[int, int]] = []
    for code in range(0x300, 0x1E950):
        decomposed = (
            unicodedata.normalize("NFD", chr(code)) if code < 0xD800 or code > 0xDFFF else " "
        )
        if unicodedata.combining(decomposed[0]):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return ranges


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
