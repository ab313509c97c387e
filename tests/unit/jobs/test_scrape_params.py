"""What a client may ask of a scrape, and what it is told when it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from service.errors import Flaw
from service.fetch.address import AddressPolicy
from service.fetch.address_text import parse_cidrs
from service.fetch.client import GuardedClient
from service.fetch.policy import FetchPolicy
from service.fetch.robots import RobotsCache
from service.jobs.extraction.readers import PageReaders
from service.jobs.extraction.selection import Pick
from service.jobs.scrape import Scrape
from service.jobs.scrape_params import ScrapeParams, picks

URL = "http://example.com/"


def flaws(**params: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        ScrapeParams.model_validate_json(json.dumps({"url": URL, **params}))
    return [(".".join(map(str, e["loc"])), e["msg"]) for e in refused.value.errors()]


def scrape(**lists: str) -> Scrape:
    addresses = AddressPolicy(**{name: parse_cidrs(text) for name, text in lists.items()})
    client = GuardedClient(FetchPolicy(addresses=addresses))
    return Scrape(client, RobotsCache(client), PageReaders(1))


def submit_flaws(**params: Any) -> list[Flaw]:
    return scrape().check_params(ScrapeParams(url=URL, **params))


def test_only_the_url_is_needed() -> None:
    params = ScrapeParams.model_validate_json(json.dumps({"url": URL}))
    assert params.include == ["title", "meta", "links", "headings"]
    assert params.parser == "lexbor"
    assert params.respect_robots is True
    assert params.select == {}
    assert params.headers == {}


def test_a_selector_has_a_short_and_a_long_form() -> None:
    params = ScrapeParams.model_validate_json(
        json.dumps(
            {"url": URL, "select": {"a": ".x", "b": {"css": "a", "attr": "href", "all": True}}}
        )
    )
    assert picks(params.select) == {
        "a": Pick(".x"),
        "b": Pick("a", "href", all=True),
    }


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://example.com/", "only http and https"),
        ("http://me:secret@example.com/", "user name or password"),
        ("http://example.com/" + "a" * 8192, "longer than 8192"),
        ("http://example.com/\n", "control characters"),
        ("example.com", "not an absolute URL"),
        ("", "at least 1 character"),
    ],
)
def test_a_bad_url_is_named(url: str, word: str) -> None:
    [(where, why)] = flaws(url=url)
    assert where == "url"
    assert word in why
    assert "secret" not in why


@pytest.mark.parametrize("parser", ["lexbor", "beautifulsoup"])
@pytest.mark.parametrize("css", ["a[", "div >", "p:nope", "a,,b", "a{", ">", "p::before", "  "])
def test_a_selector_that_does_not_compile_is_named(parser: str, css: str) -> None:
    [flaw] = submit_flaws(select={"fine": "p", "price": css}, parser=parser)
    assert flaw.pointer == "/select/price"


@pytest.mark.parametrize(
    "css", ["p:has(a:has(b))", "p:nth-child(2 of :nth-child(2))", ":has(:not(:has(a)))"]
)
def test_pseudo_classes_that_multiply_are_not_nested(css: str) -> None:
    [flaw] = submit_flaws(select={"x": css})
    assert "can't be nested" in flaw.detail


@pytest.mark.parametrize("css", ["p:has(a)", "p:not(:nth-child(2))", "li:nth-child(2n+1) a"])
def test_pseudo_classes_are_welcome(css: str) -> None:
    assert submit_flaws(select={"x": css}) == []


@pytest.mark.parametrize(
    "params",
    [
        {"include": ["body"]},
        {"include": "title"},
        {"parser": "html.parser"},
        {"respect_robots": "yes"},
        {"respect_robots": 1},
        {"select": {"a b": "p"}},
        {"select": {"": "p"}},
        {"select": {"a": 1}},
        {"select": {"a": {"attr": "href"}}},
        {"select": {"a": {"css": "p", "al": True}}},
        {"select": {"a": "p" * 501}},
        {"select": {"a": "p\x00"}},
        {"select": {str(n): "p" for n in range(51)}},
        {"headers": {str(n): "x" for n in range(51)}},
        {"headers": {"X": 1}},
        {"timeout": 5},
    ],
)
def test_what_is_not_known_is_refused(params: dict[str, Any]) -> None:
    assert flaws(**params)


@pytest.mark.parametrize(
    "name",
    [
        "Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE",
        "Trailer", "Upgrade", "Expect", "Proxy-Authorization", "Proxy-Connection", "User-Agent",
        "Accept-Encoding", "Range", "X-Forwarded-For", "Via", "Forwarded", ":authority",
    ],
)  # fmt: skip
def test_headers_of_the_connection_are_not_for_jobs(name: str) -> None:
    [(where, _)] = flaws(headers={name: "x"})
    assert where == "headers"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "a\x00", "a" * 101])
def test_a_header_name_is_a_token(name: str) -> None:
    assert flaws(headers={name: "x"})


@pytest.mark.parametrize(
    "value", ["a\r\nHost: x", "a\nb", "a\rb", "a\x00", "ä", "\u2028", " a", "a ", "\t", "a" * 4097]
)
def test_a_header_value_is_one_line_of_ascii(value: str) -> None:
    assert flaws(headers={"X-A": value})


def test_a_header_is_named_once_whatever_its_case() -> None:
    assert flaws(headers={"X-A": "1", "x-a": "2"})


def test_ordinary_headers_are_fine() -> None:
    headers = {"Authorization": "Bearer abc", "Cookie": "a=b; c=d", "X-Empty": ""}
    assert ScrapeParams(url=URL, headers=headers).headers == headers


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/",
        "http://127。0。0。1/", "http://169.254.169.254/", "http://example.com:25/",
    ],
)  # fmt: skip
def test_what_the_policy_forbids_is_seen_at_submit_without_dns(url: str) -> None:
    [flaw] = scrape().check_params(ScrapeParams(url=url))
    assert isinstance(flaw, Flaw)
    assert flaw.pointer == "/url"


def test_what_the_operator_allows_is_not_a_flaw() -> None:
    params = ScrapeParams(url="http://127.0.0.1/")
    assert scrape(allow_cidrs="127.0.0.0/8").check_params(params) == []
    assert scrape(allow_cidrs="127.0.0.0/8", deny_cidrs="127.0.0.1").check_params(params) != []
    assert scrape().check_params(ScrapeParams(url=URL)) == []


def test_the_params_have_a_json_schema_and_an_example_that_fits() -> None:
    assert ScrapeParams.model_json_schema()["required"] == ["url"]
    ScrapeParams.model_validate_json(json.dumps(Scrape.example))


@pytest.mark.parametrize(
    "css",
    [
        "p:not(a b c)", "p:is(a ~ b ~ c)", "p:is(a :is(b c))", "p:nth-child(2 of a b c)",
        "p:where(x, a b c)", "p:has(a b c)", "p:NOT(a b c)", "a:not(b, :is(c :not(d e)))",
    ],
)  # fmt: skip
def test_selectors_in_brackets_leave_little_to_choose(css: str) -> None:
    [flaw] = submit_flaws(select={"x": css})
    assert "in brackets" in flaw.detail or "nested" in flaw.detail


@pytest.mark.parametrize(
    "css",
    ["p:not(a b)", "p:not(a b, c d)", "a b c d e:not(f > g + h)", "li:nth-child(2n + 1) a b c d"],
)
def test_selectors_may_combine_as_people_do(css: str) -> None:
    assert submit_flaws(select={"x": css}) == []


@pytest.mark.parametrize(
    ("name", "flood"),
    [
        ("select", {f"x{n}": 5 for n in range(100_000)}),
        ("headers", {f"x{n}": 5 for n in range(100_000)}),
        ("include", [5] * 100_000),
    ],
)
def test_a_flood_is_counted_and_not_looked_through(name: str, flood: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        ScrapeParams.model_validate({"url": "https://example.com", name: flood})
    (error,) = caught.value.errors()
    assert error["loc"] == (name,)
    assert "at most" in error["msg"]
