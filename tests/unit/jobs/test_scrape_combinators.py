"""Selectors taken apart match what the parsers match, in linear time."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.jobs.extraction.combinators import _matching, select, taken_apart
from service.jobs.extraction.document import Document
from service.jobs.extraction.extract import Parser, Request, extract
from service.jobs.extraction.lexbor import LexborDocument
from service.jobs.extraction.selection import Pick
from service.jobs.extraction.soup import SoupDocument

DOCUMENTS = {"lexbor": LexborDocument, "beautifulsoup": SoupDocument}


@pytest.mark.parametrize(
    ("css", "steps"),
    [
        ("a", [[("", "a")]]),
        (" a  b ", [[("", "a"), (" ", "b")]]),
        ("a>b +c~ d", [[("", "a"), (">", "b"), ("+", "c"), ("~", "d")]]),
        ("a b, c", [[("", "a"), (" ", "b")], [("", "c")]]),
        ("a:not(b, c d) e", [[("", "a:not(b, c d)"), (" ", "e")]]),
        ("a[x=' > ,'] b", [[("", "a[x=' > ,']"), (" ", "b")]]),
        ("a\\ b c", [[("", "a\\ b"), (" ", "c")]]),
        ("a /* > */ b", [[("", "a"), (" ", "b")]]),
    ],
)
def test_a_selector_is_taken_apart_at_its_combinators(
    css: str, steps: list[list[tuple[str, str]]]
) -> None:
    parts = taken_apart(css)
    assert [[(step.combinator, step.compound) for step in one] for one in parts] == steps


def elements(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names, classes = st.sampled_from(["div", "b", "i"]), st.sampled_from("xy")
    inner = st.lists(children, max_size=3).map("".join)
    return st.builds(lambda n, c, t: f"<{n} class={c}>{t}</{n}>", names, classes, inner)


trees = st.recursive(st.just("text"), elements, max_leaves=12)
compounds = st.sampled_from(["div", "b", "i", "*", ".x", "div.y", "b:not(.x)", ":first-child"])
joins = st.sampled_from([" ", ">", " + ", "~", " > "])


@pytest.mark.parametrize("parser", get_args(Parser))
@settings(max_examples=150, deadline=None)
@given(trees, compounds, st.lists(st.tuples(joins, compounds), max_size=4))
def test_the_parts_match_what_the_whole_matches(
    parser: Parser, html: str, first: str, others: list[tuple[str, str]]
) -> None:
    css = first + "".join(join + compound for join, compound in others)
    page: Document = DOCUMENTS[parser](html)
    whole = {page.key(element) for element in page.find(css)}
    assert _matching(page, taken_apart(css)[0]) == whole
    assert {page.key(element) for element in select(page, css)} == whole


@pytest.mark.timeout(60)  # tried in every way these take hours
@pytest.mark.parametrize("parser", get_args(Parser))
@pytest.mark.parametrize(
    ("html", "css"),
    [
        ("<div>" * 300 + "<p>x", "x " + "div " * 60 + "p"),
        ("<p></p>" * 3_000, "x ~ p ~ p ~ p ~ p"),
        ("<p></p>" * 3_000, "x ~ p"),
        ("<div><p></p>" * 300, "x ~ p ~ p div div ~ p div p"),
        ("<p></p>" * 5_000, ",".join(["p"] * 200)),
        ("<p></p>" * 5_000, ",".join(["x ~ p"] * 80)),
    ],
)
def test_what_leaves_much_to_choose_is_matched_in_time(html: str, css: str, parser: Parser) -> None:
    request = Request([], parser, {"x": Pick(css, all=True)})
    extract(html, "http://example.com/", request)


@pytest.mark.parametrize("parser", get_args(Parser))
def test_matches_come_once_and_in_document_order(parser: Parser) -> None:
    page: Document = DOCUMENTS[parser]("<div><i>1</i><b>2</b><i>3</i></div><b>4</b>")
    found = select(page, "body div i, body div *, b")
    assert [page.text(element) for element in found] == ["1", "2", "3", "4"]
