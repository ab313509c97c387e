"""URLs: one normal form, whatever the spelling."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import JobFailed
from service.fetch.address import AddressPolicy
from service.fetch.address_text import parse_cidrs
from service.fetch.url import MAX_URL_BYTES, Url, check_target, parse_url


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("http://Example.COM", "http://example.com/"),
        ("HTTPS://example.com:443/a", "https://example.com/a"),
        ("http://example.com:8080?q=1#f", "http://example.com:8080/?q=1"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com/a/../b/./c/%2E%2e/d", "http://example.com/b/d"),
        ("http://example.com/a/..", "http://example.com/"),
        ("http://example.com/a/b/.", "http://example.com/a/b/"),
        ("http://example.com/.well-known/x", "http://example.com/.well-known/x"),
        ("http://example.com/ä?ö=ü", "http://example.com/%C3%A4?%C3%B6=%C3%BC"),
        ("http://example.com/%41%zz", "http://example.com/%41%zz"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://my_host.example./", "http://my_host.example./"),
        ("http://[2001:DB8:0::1]:80/", "http://[2001:db8::1]/"),
        ("http://example.com\\@evil.example/", "http://example.com/@evil.example/"),
    ],
)
def test_a_url_has_one_normal_form(text: str, normal: str) -> None:
    assert str(parse_url(text)) == normal
    assert str(parse_url(normal)) == normal


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1",
        "127.0.0.1.", "127。0。0。1", "\uff11\uff12\uff17.0.0.1", "%31%32%37.0.0.1", "0x7F.0.0.0x1",
        "017700000001", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
    ],
)  # fmt: skip
def test_every_spelling_of_loopback_is_seen_without_dns(spelling: str) -> None:
    url = parse_url(f"http://{spelling}/")
    with pytest.raises(JobFailed) as refused:
        check_target(url, AddressPolicy())
    assert refused.value.error_code == "blocked_target"
    check_target(url, AddressPolicy(allow_cidrs=parse_cidrs("127.0.0.0/8")))


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)",
        "data:text/html,x", "unix:/run/x.sock", "ws://example.com/", "about:blank",
    ],
)  # fmt: skip
def test_other_schemes_are_refused(text: str) -> None:
    with pytest.raises(JobFailed) as refused:
        parse_url(text)
    assert refused.value.error_code == "bad_scheme"


@pytest.mark.parametrize(
    "text",
    [
        "", "example.com", "//example.com/", "http:", "http://", "http:///path", "http:example.com",
        "http://user@example.com/", "http://user:pw@example.com/", "http://@example.com/",
        "http://example.com:0/", "http://example.com:65536/", "http://example.com:8o/",
        "http://example.com:٨٠/", "http://example.com:80:80/", "http://exa mple.com/",
        "http://example.com/a b", "http://example.com/\r\nHost: x", "http://example.com/\x00",
        "http://example.com/\x7f", "http://example.com/\u202e", "http://example.com/\ud800",
        " http://example.com/", "http://example.com/\u2028", "http://exam%00ple.com/",
        "http://example.com%2f@x/", "http://[::1", "http://::1/", "http://[::1]x/", "http://[1.2]/",
        "http://[fe80::1%25eth0]/", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://0x1ffffffff/",
        "http://09.1.1.1/", "http://-a.example/", "http://a..example/", "http://" + "a" * 64 + "/",
        "http://" + "a." * 127 + "example/", "http://exa<mple.com/", "http://xn--a\u0300/",
        "http://" + "9" * 4000 + "/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(JobFailed) as refused:
        parse_url(text)
    assert refused.value.error_code == "bad_url"
    assert not refused.value.retryable


def test_a_url_may_be_8_kib_long_and_no_longer() -> None:
    start = "http://example.com/"
    assert len(str(parse_url(start + "a" * (MAX_URL_BYTES - len(start))))) == MAX_URL_BYTES
    for longer in ("a" * (MAX_URL_BYTES - len(start) + 1), "ä" * (MAX_URL_BYTES // 2)):
        with pytest.raises(JobFailed, match="longer than 8192"):
            parse_url(start + longer)


def test_a_port_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(JobFailed) as refused:
        check_target(parse_url("http://example.com:25/"), AddressPolicy())
    assert refused.value.error_code == "blocked_target"
    check_target(parse_url("https://example.com/"), AddressPolicy())


def test_a_name_is_left_to_the_check_at_dialling() -> None:
    check_target(parse_url("http://localhost/"), AddressPolicy())


@given(st.text(max_size=60))
def test_any_text_is_a_url_in_normal_form_or_a_failure_with_a_code(text: str) -> None:
    for candidate in (text, "http://" + text, "http://example.com/" + text):
        url, code = parsed_or_code(candidate)
        if url is None:
            assert code in {"bad_url", "bad_scheme"}
        else:
            assert str(url).isascii()
            assert str(url).isprintable()
            assert parse_url(str(url)) == url
            assert not url.is_address or str(ip_address(url.host)) == url.host


def parsed_or_code(text: str) -> tuple[Url | None, str | None]:
    try:
        return parse_url(text), None
    except JobFailed as refused:
        return None, refused.error_code
