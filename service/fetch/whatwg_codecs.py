"""Python's codecs where they follow the Encoding Standard, and what they lack where not.

Python's ``shift_jis``, ``euc_kr``, ``gbk`` and ``big5`` are the bare national standards. Pages
are written in what browsers read under those names, which is more.
"""

from __future__ import annotations

import codecs
from functools import cache
from typing import Final

import webencodings

_REPLACEMENT: Final = "\ufffd"

_SUPERSETS: Final = {
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "big5": "big5hkscs",
}

# Wave dash, double vertical line, minus, cent, pound and not: where Python follows the Japanese
# standard, browsers follow Windows.
_AS_WINDOWS: Final = str.maketrans(
    "\u301c\u2016\u2212\u00a2\u00a3\u00ac", "\uff5e\u2225\uff0d\uffe0\uffe1\uffe2"
)
_MULTIBYTE: Final = frozenset({"utf-8", "utf-16le", "utf-16be", "gb18030", *_SUPERSETS})


def decoded(body: bytes, name: str) -> str:
    """The text of bytes in an encoding of the standard's name, with U+FFFD for what is none."""
    if name == "replacement":  # a label that is an attack: nothing of it is shown
        return _REPLACEMENT if body else ""
    if name == "euc-jp":
        return body.decode("euc_jp", _EUC_JP_ERRORS).translate(_AS_WINDOWS)
    if name == "iso-2022-jp":
        return body.decode("iso2022_jp_ext", "replace").translate(_AS_WINDOWS)
    if name in _MULTIBYTE:
        return body.decode(_SUPERSETS.get(name, name), "replace")
    return codecs.charmap_decode(body, "replace", _table(name))[0]


@cache
def _table(name: str) -> str:
    """All 256 characters of a single-byte encoding; controls stay where it says nothing."""
    codec = webencodings.lookup(name).codec_info
    characters = [codec.decode(bytes([byte]), "replace")[0] for byte in range(256)]
    for byte in range(0x80, 0xA0):
        if characters[byte] == _REPLACEMENT:
            characters[byte] = chr(byte)
    return "".join(characters)


def _beyond_euc_jp(error: UnicodeError) -> tuple[str, int]:
    """The rows that NEC and IBM added (① ㈱ 髙), which only cp932 has among Python's codecs."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    lead, trail = (*error.object[error.start : error.start + 2], 0, 0)[:2]
    if not (lead == 0xAD or 0xF9 <= lead <= 0xFC) or not 0xA1 <= trail <= 0xFE:
        return _REPLACEMENT, error.start + 1
    row, cell = lead - 0xA0, trail - 0xA0
    first = (row + 1) // 2 + (0x80 if row < 63 else 0xC0)
    second = cell + 0x9E if row % 2 == 0 else cell + (0x3F if cell < 64 else 0x40)
    return bytes([first, second]).decode("cp932", "replace")[:1], error.start + 2


_EUC_JP_ERRORS: Final = "jobspool.euc-jp"
codecs.register_error(_EUC_JP_ERRORS, _beyond_euc_jp)
