"""Whatever the page, reading it takes a second of CPU per megabyte at most, or is given up."""

from __future__ import annotations

import codecs
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import get_native_id
from typing import Any, get_args

import pytest

from service.errors import JobCancelled, JobFailed
from service.fetch.decode import decode
from service.jobs.extraction.extract import Parser, Part, Request, extract
from service.jobs.extraction.reader import MOST_MEMORY
from service.jobs.extraction.readers import FLOOR_S, PageReaders
from service.jobs.extraction.selection import Pick
from tests.support.context import Job
from tests.support.waiting import eventually

EVERYTHING = get_args(Part)
URL = "http://example.com/"

# Unguarded these pages take 20 s to minutes, or gigabytes.
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


@pytest.fixture(scope="module")
def readers() -> Iterator[PageReaders]:
    readers = PageReaders(1)
    yield readers
    readers.close()


def read(readers: PageReaders, html: str, request: Request, job: Job | None = None) -> Any:
    found = readers.read(html.encode(), "text/html;charset=utf-8", URL, request, job or Job())
    return json.loads(found.page)


def processes() -> set[int]:
    """The readers that this thread has started."""
    children = Path(f"/proc/self/task/{get_native_id()}/children").read_text()
    return {int(pid) for pid in children.split() if is_reader(int(pid))}


def is_reader(pid: int) -> bool:
    try:
        return b"extraction.reader" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False


@pytest.mark.parametrize("parser", get_args(Parser))
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_is_read_or_given_up(
    readers: PageReaders, name: str, parser: Parser
) -> None:
    html, job = HOSTILE[name], Job()
    failure: JobFailed | None = None
    try:
        read(readers, html, Request(EVERYTHING, parser), job)
    except JobFailed as failed:
        failure = failed
    assert failure is None or (failure.error_code, failure.retryable) == ("parse_budget", False)
    # what was read until then has to be taken apart as well
    assert 0 < job.charged_cpu_s <= 1.5 * max(FLOOR_S, len(html) * 1e-6)


def test_the_kernel_keeps_the_bounds() -> None:
    readers = PageReaders(1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for name in ("nested", "attributes", "formatting that stays open"):
        with pytest.raises(JobFailed) as given_up:
            read(readers, HOSTILE[name], Request(EVERYTHING))
        assert given_up.value.error_code == "parse_budget"
    readers.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    limits_s = [max(FLOOR_S, len(page) * 1e-6) for page in HOSTILE.values()]
    assert spent_s < 3 * (max(limits_s) + 1.0), "three pages, and the start of three readers"
    assert after.ru_maxrss * 1024 < MOST_MEMORY


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
def test_a_long_page_that_means_no_harm_is_read(readers: PageReaders, html: str) -> None:
    read(readers, html, Request(EVERYTHING))


@pytest.mark.parametrize("css", ["p:nth-last-child(2)", "p:has(~ x)", ":nth-child(3n)"])
def test_a_selector_that_compares_all_with_all_is_given_up_on_a_long_page(
    readers: PageReaders, css: str
) -> None:
    request = Request([], "lexbor", {"x": Pick(css)})
    read(readers, "<p>a</p>" * 100, request)
    with pytest.raises(JobFailed) as given_up:
        read(readers, "<p>a</p>" * 200_000, request)
    assert given_up.value.error_code == "parse_budget"


@pytest.mark.parametrize("parser", get_args(Parser))
def test_the_same_selector_is_fine_where_families_are_small(
    readers: PageReaders, parser: Parser
) -> None:
    # Beautiful Soup takes about its whole budget for 3,000 rows, on a slow day more
    rows = 3_000 if parser == "lexbor" else 1_200
    html = "<table>" + "<tr><td>some text<td>more text<td>last</tr>" * rows + "</table>"
    found = read(readers, html, Request([], parser, {"x": Pick("td:nth-child(3)", all=True)}))
    assert found["truncated"] == ["selected.x"]


@pytest.mark.parametrize("parser", get_args(Parser))
@pytest.mark.parametrize(
    "body",
    [
        "<title>Ω and \ufffd</title>".encode(),
        codecs.BOM_UTF8 + "<title>Ω</title>".encode(),
        b"<title>not \xff UTF-8</title>",
        b"<meta charset=iso-8859-1><title>\xe4</title>",
        "<title>Ω</title>".encode(),
        b"",
    ],
)
def test_a_page_is_read_as_its_text_is_whatever_bytes_it_comes_in(
    readers: PageReaders, body: bytes, parser: Parser
) -> None:
    request = Request(["title", "text"], parser)
    page = readers.read(body, "text/html", "http://a.test/", request, Job()).page
    assert json.loads(page) == extract(decode(body)[0], "http://a.test/", request)


def test_readers_are_started_when_they_are_needed_and_end_with_the_service() -> None:
    before = processes()
    readers = PageReaders(2)
    assert not processes() - before
    for _ in range(3):
        assert read(readers, "<title>Hi</title>", Request(["title"]))["title"] == "Hi"
    (mine,) = processes() - before
    environment = Path(f"/proc/{mine}/environ").read_bytes().split(b"\0")
    assert [one.partition(b"=")[0] for one in environment if one] == [b"PYTHONPATH"]
    readers.close()
    readers.close()
    assert not processes() - before


def test_a_reader_that_was_killed_is_replaced() -> None:
    before = processes()
    readers = PageReaders(1)
    read(readers, "<title>Hi</title>", Request(["title"]))
    (mine,) = processes() - before
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # for the service, not for it
        os.kill(mine, sign)
    read(readers, "<title>Hi</title>", Request(["title"]))
    assert processes() - before == {mine}
    os.kill(mine, signal.SIGKILL)
    eventually(lambda: not is_reader(mine), "it is dead")
    assert read(readers, "<title>Hi</title>", Request(["title"]))["title"] == "Hi"
    readers.close()


def test_a_reader_stays_however_large_the_service_is() -> None:
    before = processes()
    ballast = b"x" * (300 << 20)
    readers = PageReaders(1)
    for _ in range(2):
        read(readers, "<title>Hi</title>", Request(["title"]))
        (mine,) = processes() - before
    read(readers, "<title>Hi</title>", Request(["title"]))
    assert processes() - before == {mine}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > len(ballast)
    readers.close()


def test_a_cancelled_job_takes_its_reader_along() -> None:
    asked: list[None] = []

    def stop() -> None:
        asked.append(None)
        if len(asked) > 1:  # the first time it has no reader yet
            raise JobCancelled

    before = processes()
    readers = PageReaders(1)
    with pytest.raises(JobCancelled):
        read(readers, "<div>" * 400_000, Request(EVERYTHING), Job(stop=stop))
    assert not processes() - before
    assert read(readers, "<title>Hi</title>", Request(["title"]))["title"] == "Hi"
    readers.close()


def test_what_is_wrong_with_the_reading_itself_is_told(readers: PageReaders) -> None:
    with pytest.raises(RuntimeError, match="CSS"):
        read(readers, "<p>a", Request([], "lexbor", {"x": Pick("p[")}))
