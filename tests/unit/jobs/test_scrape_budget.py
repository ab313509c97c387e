"""Whatever the page, reading it takes a second of CPU per megabyte at most, or is given up."""

from __future__ import annotations

import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from typing import get_args

import pytest

from service.errors import JobFailed
from service.jobs.extraction.budget import FLOOR_S, Budget
from service.jobs.extraction.extract import Parser, Part, Request, extract
from service.jobs.extraction.selectors import Selector
from service.jobs.extraction.text import MAX_COMBINING, clean

ALL = frozenset(get_args(Part))

# Reading is given up between two steps in C, so the last one may pass the budget; and the
# machines of continuous integration are slow. Unguarded these pages take 20 s to minutes.
SLACK = 2.5

HOSTILE = {
    "nested": "<div>" * 100_000,
    "nested with fake ends": "<div><!--</div>-->" * 60_000,
    "nested lists": "<li><dd>" * 60_000,
    "attributes": "<x " + " ".join(f"a{n}" for n in range(100_000)) + ">",
    "attributes never closed": "<x " + " ".join(f"a{n}" for n in range(100_000)),
    "attributes round quoted ends": "<x " + " ".join(f"a{n}='>'" for n in range(100_000)) + ">",
    "attributes behind a decoy": (
        '<!-- <a b=" --><z ' + " ".join(f"a{n}" for n in range(100_000)) + '">'
    ),
    "formatting": "<b><div>" * 60_000,
    "comments": "<!--" * 100_000,
    "templates": "<template>" * 60_000,
    "end tags in a deep tree": "<svg>" * 50_000 + "</h1>" * 50_000,
    "end tags in deep templates": "<template>" * 30_000 + "</div>" * 40_000,
    "end tags that lxml looks for": "<dd>" * 60_000 + "</p>" * 60_000,
    "formatting that stays open": "".join(f"<s id={n}><dd>" for n in range(20_000)),
    "formatting behind quotes": "".join(f"<b id='>{n}'><p>" for n in range(20_000)),
    "formatting closed late": "".join(f"<b id={n}><p>" for n in range(9_000)) + "</b>" * 9_000,
    "formatting in tables": "<table><b>" * 40_000,
    "formatting, then options": "<big><option>" * 30_000,
    "attributes gathered on body": "".join(f"<body a{n}>" for n in range(60_000)),
}


@pytest.mark.parametrize("parser", get_args(Parser))
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_is_read_or_given_up_in_time(name: str, parser: Parser) -> None:
    html = HOSTILE[name]
    started = time.thread_time()
    try:
        extract(html, "http://example.com/", Request(ALL, parser), lambda: None)
    except JobFailed as failed:
        code = failed.error_code
    else:
        code = "read"
    assert code in {"read", "parse_budget"}
    assert time.thread_time() - started < SLACK * max(FLOOR_S, len(html) * 1e-6)


def test_the_worst_pages_are_given_up() -> None:
    for name in ("nested", "attributes", "attributes behind a decoy"):
        with pytest.raises(JobFailed) as refused:
            extract(HOSTILE[name], "http://example.com/", Request(ALL), lambda: None)
        assert refused.value.error_code == "parse_budget"
        assert not refused.value.retryable


@pytest.mark.parametrize(
    "html",
    [
        "<ul>" + "<li>item <a href=x>y</a>" * 9_000 + "</ul>",
        "<table>" + "<tr><td>a<td>b<td>some more text</tr>\n" * 9_000 + "</table>",
        "<p>a paragraph of text that nobody closes\n" * 9_000,
        "<script>" + "if (a < b && c > d) { e(); }\n" * 20_000 + "</script>",
        "<pre>" + "word " * 200_000 + "</pre>",
        f"<img src='data:image/png;base64,{'A' * 1_000_000}'>",
        "<p>" + "<br>" * 5_000 + "</p>",
    ],
    ids=["list", "table", "paragraphs", "script", "text", "data", "breaks"],
)
def test_a_long_page_that_means_no_harm_is_read(html: str) -> None:
    extract(html, "http://example.com/", Request(ALL), lambda: None)


@pytest.mark.parametrize("css", ["p:nth-last-child(2)", "p:has(~ x)", ":nth-child(3n)"])
def test_a_selector_that_would_compare_all_with_all_is_refused_on_a_long_page(css: str) -> None:
    request = Request(frozenset(), "lexbor", {"x": Selector(css=css)})
    extract("<p>a</p>" * 100, "http://example.com/", request, lambda: None)
    started = time.thread_time()
    with pytest.raises(JobFailed) as refused:
        extract("<p>a</p>" * 50_000, "http://example.com/", request, lambda: None)
    assert refused.value.error_code == "parse_budget"
    assert time.thread_time() - started < SLACK * FLOOR_S


@pytest.mark.parametrize("parser", get_args(Parser))
def test_the_same_selector_is_fine_where_families_are_small(parser: Parser) -> None:
    # Beautiful Soup takes about its whole budget for 3,000 rows, on a slow day more
    rows = 3_000 if parser == "lexbor" else 1_200
    html = "<table>" + "<tr><td>some text<td>more text<td>last</tr>" * rows + "</table>"
    select = {"x": Selector(css="td:nth-child(3)", all=True)}
    result = extract(html, "http://a/", Request(frozenset(), parser, select), lambda: None)
    assert result["truncated"] == ["selected.x"]


def test_a_budget_is_a_second_per_megabyte_and_some_to_start_with() -> None:
    assert Budget(0).limit_s == FLOOR_S
    assert Budget(2_000_000).limit_s == pytest.approx(2.0)


def test_a_spent_budget_says_so() -> None:
    budget = Budget(0)
    budget.limit_s = -1.0
    with pytest.raises(JobFailed, match="CPU time"):
        budget.check()


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0344\u0316", "\u0f72\u0f71"])
@pytest.mark.parametrize("head", ["<title>a", "<h1>a", "<a href=x>a", "<p>a", "<html lang='a"])
def test_combining_characters_in_a_row_are_put_in_order_in_time(head: str, marks: str) -> None:
    html = head + marks * 200_000  # unguarded 2 minutes
    started = time.thread_time()
    extract(html, "http://example.com/", Request(ALL), lambda: None)
    assert time.thread_time() - started < SLACK * FLOOR_S


def test_no_language_loses_its_combining_characters() -> None:
    words = "Việt ngữ, हिन्दी, ภาษาไทย, בְּרֵאשִׁית, a" + "\u0301" * MAX_COMBINING
    assert clean(words) == unicodedata.normalize("NFC", words)
    assert clean("a" + "\u0316" * (MAX_COMBINING + 1)) == "a" + "\u0316" * MAX_COMBINING


FORMATTING = [name for name in HOSTILE if name.startswith("formatting")]

MEASURE = """
import resource, sys
from service.errors import JobFailed
from service.jobs.extraction.extract import Request, extract
from tests.unit.jobs.test_scrape_budget import HOSTILE
html = HOSTILE[sys.argv[1]]
extract("<p>warm", "http://a/", Request(frozenset()), lambda: None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    extract(html, "http://a/", Request(frozenset()), lambda: None)
except JobFailed:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("name", FORMATTING)
def test_formatting_that_multiplies_takes_little_memory(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, name],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(run.stdout) < 200  # MiB; unguarded it is gigabytes
