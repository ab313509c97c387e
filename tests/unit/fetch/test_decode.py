"""Which encoding a page is read with."""

from __future__ import annotations

import pytest

from service.fetch.decode import decode


@pytest.mark.parametrize(
    ("body", "content_type", "text", "charset"),
    [
        (b"\xc3\xa4", None, "ä", "utf-8"),
        (b"\xe4", None, "\ufffd", "utf-8"),
        (b"\xe4", "text/html; charset=ISO-8859-1", "ä", "windows-1252"),
        (b"\x80", 'text/html;charset="latin1"', "€", "windows-1252"),
        (b"\xef\xbb\xbf\xc3\xa4", "text/html; charset=latin1", "ä", "utf-8"),
        (b"\xff\xfea\x00", "text/html; charset=utf-8", "a", "utf-16le"),
        (b"\xfe\xff\x00a", None, "a", "utf-16be"),
        ("あ".encode("shift_jis"), "text/html; charset=Shift_JIS", "あ", "shift_jis"),
    ],
)
def test_a_bom_wins_then_the_header_then_utf_8(
    body: bytes, content_type: str | None, text: str, charset: str
) -> None:
    assert decode(body, content_type) == (text, charset)


@pytest.mark.parametrize(
    "meta",
    [
        b"<meta charset=koi8-r>",
        b"<META CHARSET = 'KOI8-R' />",
        b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">',
        b"<!-- <meta charset=latin1> --><meta charset=koi8-r>",
        b"<meta charset=nonsense><meta charset=koi8-r>",
    ],
)
def test_without_a_header_the_meta_element_says(meta: bytes) -> None:
    assert decode(meta + b"\xc1")[0].endswith("а")  # noqa: RUF001 - Cyrillic


def test_the_header_wins_over_the_meta_element() -> None:
    assert decode(b"<meta charset=koi8-r>", "text/html; charset=utf-8")[1] == "utf-8"


def test_only_the_first_1024_bytes_are_searched() -> None:
    meta = b"<meta charset=koi8-r>"
    assert decode(b" " * (1024 - len(meta)) + meta)[1] == "koi8-r"
    assert decode(b" " * 1024 + meta)[1] == "utf-8"


def test_a_meta_element_that_says_utf_16_means_utf_8() -> None:
    assert decode(b"<meta charset=utf-16>")[1] == "utf-8"


@pytest.mark.parametrize(
    "label", ["punycode", "idna", "rot13", "base64", "unicode_escape", "x" * 99]
)
def test_a_label_that_the_web_does_not_know_is_ignored(label: str) -> None:
    assert decode(b"\xc3\xa4", f"text/html; charset={label}") == ("ä", "utf-8")


def test_a_label_that_is_an_attack_shows_nothing() -> None:
    assert decode(b"<script>", "text/html; charset=iso-2022-kr") == ("\ufffd", "replacement")


def test_text_never_holds_lone_surrogates() -> None:
    text, _ = decode(b"\xff\xfe\x00\xd8a\x00")
    text.encode("utf-8")
