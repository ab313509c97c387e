"""Hrefs are resolved as RFC 3986 says, also on the short way."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.jobs.extraction.links import MAX_URL_CHARS, Resolver

BASES = [
    "http://a.example/",
    "http://a.example/b/c/d?q",
    "http://a.example/b/c/",
    "http://a.example",
]


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("x", "http://a.example/b/x"),
        (" \n x\t ", "http://a.example/b/x"),
        ("x\ny", "http://a.example/b/xy"),
        ("x y", "http://a.example/b/x%20y"),
        ("/x", "http://a.example/x"),
        ("//b.example/x", "http://b.example/x"),
        ("?x", "http://a.example/b/c?x"),
        ("#x", "http://a.example/b/c?q#x"),
        ("", "http://a.example/b/c?q"),
        (".", "http://a.example/b/"),
        ("./x", "http://a.example/b/x"),
        ("..", "http://a.example/"),
        ("../x", "http://a.example/x"),
        ("../../../x", "http://a.example/x"),
        ("x/../y", "http://a.example/b/y"),
        ("\\x", "http://a.example/x"),
        ("https://B.example", "https://B.example"),
        ("mailto:x@example.com", "mailto:x@example.com"),
        ("tel:+49", "tel:+49"),
        ("x:y", None),
        ("javascript:alert(1)", None),
        ("java\nscript:alert(1)", None),
        ("JAVASCRIPT:alert(1)", None),
        ("vbscript:x", None),
        ("data:,x", None),
        ("file:///etc/passwd", None),
        ("http://[", None),
    ],
)
def test_an_href_becomes_absolute_or_nothing(href: str, url: str | None) -> None:
    assert Resolver("http://a.example/b/c?q#frag").absolute(href) == url


def test_an_href_over_8_kib_is_none() -> None:
    resolver = Resolver("http://a.example/")
    fits = "x" * (MAX_URL_CHARS - len("http://a.example/"))
    assert resolver.absolute(fits) == "http://a.example/" + fits
    assert resolver.absolute(fits + "x") is None


@given(
    st.sampled_from(BASES),
    st.text(alphabet="ab./", max_size=12),
    st.sampled_from(["", "?q", "#f", "?q#f", "?a/../b", "#a/../b"]),
)
def test_the_short_way_agrees_with_urljoin(base: str, path: str, rest: str) -> None:
    assume("//" not in path)  # urljoin drops empty segments, RFC 3986 does not
    assert Resolver(base).absolute(path + rest) == urljoin(base, path + rest)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_href_and_no_base_raises(base: str, href: str) -> None:
    resolver = Resolver("http://a.example/b", base)
    url = resolver.absolute(href)
    assert url is None or url.partition(":")[0].lower() in {"http", "https", "ftp", "mailto", "tel"}
