"""What is read out of a page, by both parsers alike."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import JsonValue

from service.jobs.extraction import extract as bounds
from service.jobs.extraction import selection
from service.jobs.extraction.extract import Parser, Part, Request, extract
from service.jobs.extraction.selection import Pick

ALL = get_args(Part)
PAGE_URL = "https://example.com/dir/page?q=1"


@pytest.fixture(params=get_args(Parser))
def parser(request: pytest.FixtureRequest) -> Parser:
    return request.param


def read(html: str, parser: Parser, url: str = PAGE_URL, **select: Any) -> dict[str, JsonValue]:
    picks = {name: Pick(s) if isinstance(s, str) else Pick(**s) for name, s in select.items()}
    return extract(html, url, Request(ALL, parser, picks))


ARTICLE = """<!DOCTYPE html>
<html lang="en-GB">
<head>
  <meta charset="utf-8">
  <title>  An
     Article &amp; more </title>
  <meta name="Description" content="What it is about.">
  <meta property="og:title" content="OG">
  <meta name="robots" content="all"><meta name="robots" content="none">
  <link rel="stylesheet" href="s.css"><link rel="alternate Canonical" href="/canonical">
  <style>h1 { color: red }</style>
  <script>var title = "<h1>not a heading</h1>";</script>
</head>
<body>
  <svg><title>not the title</title></svg>
  <h1>Heading <em>one</em></h1>
  <p class="price">12.50 <b>EUR</b></p>
  <p class="price">13.50</p>
  <h2>Caf&eacute;<br>two</h2>
  <a href="other" rel="nofollow noopener">Other
     page</a>
  <a href="../up">Up</a> <a href="#here">Here</a> <a href="?q=2">Query</a> <a href="">Self</a>
  <a href="//cdn.example.net/x">Net</a> <a href="HTTPS://Example.org/Y">Out</a>
  <a href="mailto:me@example.com">Mail</a> <a href="javascript:alert(1)">No</a>
  <a href="data:text/html,x">No</a> <a name="anchor">No</a> <a href="http://[bad">No</a>
  <map><area href="/area"></map>
  <template><a href="hidden">Hidden</a></template>
  <script>document.write("script text")</script>
</body>
</html>"""


def test_an_article_is_read_whole(parser: Parser) -> None:
    result = read(ARTICLE, parser)
    assert result["title"] == "An Article & more"
    assert result["description"] == "What it is about."
    assert result["canonical_url"] == "https://example.com/canonical"
    assert result["language"] == "en-GB"
    assert result["meta"] == {
        "description": "What it is about.",
        "og:title": "OG",
        "robots": "all",
    }
    assert [h["level"] for h in result["headings"]] == [1, 2]  # type: ignore[union-attr,index,call-overload]
    assert result["headings"][0] == {"level": 1, "text": "Heading one"}  # type: ignore[index,call-overload]
    assert result["truncated"] == []


def test_links_are_absolute_and_can_be_followed(parser: Parser) -> None:
    links: Any = read(ARTICLE, parser)["links"]
    assert links[0] == {
        "url": "https://example.com/dir/other",
        "text": "Other page",
        "rel": "nofollow noopener",
    }
    assert [(link["url"], link["rel"]) for link in links[1:]] == [
        ("https://example.com/up", None),
        ("https://example.com/dir/page?q=1#here", None),
        ("https://example.com/dir/page?q=2", None),
        ("https://example.com/dir/page?q=1", None),
        ("https://cdn.example.net/x", None),
        ("HTTPS://Example.org/Y", None),
        ("mailto:me@example.com", None),
        ("https://example.com/area", None),
    ]


def test_text_has_words_apart_and_no_code(parser: Parser) -> None:
    text = read(ARTICLE, parser)["text"]
    assert isinstance(text, str)
    assert text.startswith("not the title Heading one 12.50 EUR 13.50 Café two Other page Up")
    assert "script text" not in text
    assert "Hidden" not in text


def test_words_are_not_torn_where_inline_elements_end(parser: Parser) -> None:
    html = "<body><p>in<b>sep</b>arable</p><ul><li>one<li>two</ul><div>a</div><div>b</div>c<br>d"
    assert read(html, parser)["text"] == "inseparable one two a b c d"


def test_the_base_element_is_obeyed(parser: Parser) -> None:
    html = "<base href='/elsewhere/'><base href='/no/'><a href='x'>x</a><link rel=canonical href=c>"
    result: Any = read(html, parser)
    assert result["links"][0]["url"] == "https://example.com/elsewhere/x"
    assert result["canonical_url"] == "https://example.com/elsewhere/c"


@pytest.mark.parametrize("base", ["javascript:1", "data:,", "file:///", "http://[", "http:///x"])
def test_a_base_that_is_no_page_is_not(parser: Parser, base: str) -> None:
    result: Any = read(f"<base href='{base}'><a href='x'>x</a>", parser)
    assert result["links"][0]["url"] == "https://example.com/dir/x"


def test_selectors_pick_text_attributes_and_lists(parser: Parser) -> None:
    result: Any = read(
        ARTICLE,
        parser,
        price=".price",
        prices={"css": ".price", "all": True},
        href={"css": "a", "attr": "HREF"},
        rels={"css": "a", "attr": "rel", "all": True},
        none=".absent",
        nones={"css": ".absent", "all": True},
        both={"css": "h1, h2, h1", "all": True},
        script="body script",
    )
    assert result["selected"] == {
        "price": "12.50 EUR",
        "prices": ["12.50 EUR", "13.50"],
        "href": "other",
        "rels": ["nofollow noopener", *[None] * 11],
        "none": None,
        "nones": [],
        "both": ["Heading one", "Cafétwo"],
        "script": 'document.write("script text")',
    }


def test_selected_text_leaves_out_code_within(parser: Parser) -> None:
    result: Any = read("<div>a<script>b</script><style>c</style>d</div>", parser, all="div")
    assert result["selected"] == {"all": "ad"}


def test_an_empty_page_is_a_page(parser: Parser) -> None:
    for html in ("", " ", "plain words", "<", "<!--", "\0"):
        result = read(html, parser)
        assert result["title"] is None
        assert result["links"] == []
        assert result["meta"] == {}


def test_an_empty_title_is_empty(parser: Parser) -> None:
    assert read("<title> </title>", parser)["title"] == ""


def test_only_what_is_asked_for_is_read(parser: Parser) -> None:
    result = extract(ARTICLE, PAGE_URL, Request(["links"], parser))
    assert result["title"] is None
    assert result["headings"] == []
    assert result["meta"] == {}
    assert result["description"] == "What it is about."
    assert result["links"] != []
    assert "text" not in result


def test_texts_hold_nothing_that_could_fool_a_terminal_or_a_reader(parser: Parser) -> None:
    hostile = "a\u202eb\x1b[31m\u2066c\ufeff\x9b\u200f d\u2028e\u00a0f"
    html = f"<title>{hostile}</title><h1>{hostile}</h1><a href='/x\u202ey'>{hostile}</a>"
    html += f"<meta name='n\u202e' content='{hostile}'>"
    result: Any = read(html, parser)
    clean = "ab[31mc d e f"
    assert result["title"] == clean
    assert result["headings"][0]["text"] == clean
    assert result["links"][0] == {"url": "https://example.com/xy", "text": clean, "rel": None}
    assert result["meta"] == {"n": clean}


def test_texts_are_nfc(parser: Parser) -> None:
    assert read("<title>e\u0301</title>", parser)["title"] == "é"


@pytest.mark.parametrize(
    ("field", "limit", "html"),
    [
        ("title", bounds.MAX_TITLE_CHARS, "<title>{}</title>"),
        ("description", bounds.MAX_DESCRIPTION_CHARS, "<meta name=description content='{}'>"),
        ("language", bounds.MAX_LANGUAGE_CHARS, "<html lang='{}'>"),
    ],
)
def test_a_text_is_capped_and_named(parser: Parser, field: str, limit: int, html: str) -> None:
    fits = read(html.format("x" * limit), parser)
    over = read(html.format("x" * (limit + 1)), parser)
    assert fits[field] == over[field] == "x" * limit
    assert fits["truncated"] == []
    assert over["truncated"] == [field]


@pytest.mark.parametrize(
    ("field", "limit", "html"),
    [
        ("links", bounds.MAX_LINKS, "<a href=x>x</a>"),
        ("headings", bounds.MAX_HEADINGS, "<h2>x</h2>"),
    ],
)
def test_a_list_is_capped_and_named(parser: Parser, field: str, limit: int, html: str) -> None:
    fits, over = read(html * limit, parser), read(html * (limit + 1), parser)
    assert len(fits[field]) == len(over[field]) == limit  # type: ignore[arg-type]
    assert fits["truncated"] == []
    assert over["truncated"] == [field]


def test_meta_elements_are_capped_and_named(parser: Parser) -> None:
    def metas(count: int) -> str:
        return "".join(f"<meta name=n{n} content=x>" for n in range(count))

    fits = read(metas(bounds.MAX_META), parser)
    over = read(metas(bounds.MAX_META + 1), parser)
    assert fits["meta"] == over["meta"]
    assert fits["truncated"] == []
    assert over["truncated"] == ["meta"]


def test_matches_are_capped_and_named(parser: Parser) -> None:
    over: Any = read(
        "<p>x</p>" * (selection.MAX_MATCHES + 1), parser, ps={"css": "p", "all": True}, one="p"
    )
    assert len(over["selected"]["ps"]) == selection.MAX_MATCHES
    assert over["truncated"] == ["selected.ps"]


def test_a_long_base_cannot_multiply_the_result(parser: Parser) -> None:
    html = f"<base href='/{'b' * 8000}/'>" + "<a href=x>x</a>" * 900
    result: Any = read(html, parser)
    assert sum(len(link["url"]) for link in result["links"]) <= bounds.MAX_LINKS_CHARS
    assert result["truncated"] == ["links"]


def test_nested_matches_cannot_multiply_the_result(parser: Parser) -> None:
    html = "<div>" * 200 + "x" * 20_000
    result: Any = read(html, parser, divs={"css": "div", "all": True})
    total = sum(len(value) for value in result["selected"]["divs"])
    assert total <= selection.MAX_SELECTED_CHARS
    assert "selected.divs" in result["truncated"]
