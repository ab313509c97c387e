"""The scrape job from params to result, against a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from service.errors import JobFailed, JobTimedOut
from service.fetch.robots import RobotsCache
from service.jobs.extraction.extract import Parser
from service.jobs.extraction.readers import PageReaders
from service.jobs.scrape import Scrape
from service.jobs.scrape_params import ScrapeParams
from tests.fetch_support import Connect, Serve, Visit, answer, redirect
from tests.support.context import Job

PAGE = (
    "<html lang=de><title>Äpfel</title><link rel=canonical href=/c><h1>Äpfel</h1>"
    "<p class=price>3</p><a href=b>b</a></html>"
).encode("latin-1")


@pytest.fixture(scope="module", autouse=True)
def readers() -> Iterator[PageReaders]:
    global _readers
    _readers = PageReaders(1)
    yield _readers
    _readers.close()


def scrape(connect: Connect, **bounds: object) -> Scrape:
    client = connect(**bounds)
    return Scrape(client, RobotsCache(client), _readers)


def params(url: str, **others: Any) -> ScrapeParams:
    return ScrapeParams.model_validate_json(json.dumps({"url": url, **others}))


def site(visit: Visit) -> None:
    if visit.path == "/robots.txt":
        visit.send(answer(b"User-agent: *\nDisallow: /private\n"))
    elif visit.path == "/moved":
        visit.send(redirect("/dir/page"))
    elif visit.path == "/astray":
        visit.send(redirect("/private/page"))
    elif visit.path == "/gone":
        visit.send(answer(b"", "410 Gone"))
    else:
        visit.send(answer(PAGE, "200 OK", "Content-Type: text/html; charset=ISO-8859-1"))


@pytest.mark.parametrize("parser", get_args(Parser))
def test_a_page_is_scraped(serve: Serve, connect: Connect, parser: str) -> None:
    server, job = serve(site), Job()
    url = server.url("/moved")
    text = scrape(connect).run(job, params(url, parser=parser, select={"price": ".price"}))
    result = json.loads(text)

    assert result.pop("fetch_ms") > 0
    assert result.pop("parse_ms") > 0
    assert result == {
        "url": url,
        "final_url": server.url("/dir/page"),
        "status_code": 200,
        "redirects": [url],
        "title": "Äpfel",
        "description": None,
        "canonical_url": server.url("/c"),
        "language": "de",
        "headings": [{"level": 1, "text": "Äpfel"}],
        "links": [{"url": server.url("/dir/b"), "text": "b", "rel": None}],
        "meta": {},
        "selected": {"price": "3"},
        "content_type": "text/html",
        "charset": "windows-1252",
        "bytes": len(PAGE),
        "truncated": [],
    }
    assert job.lines == [f"Title of {url}: Äpfel"]


def test_a_failure_is_printed_and_raised(serve: Serve, connect: Connect) -> None:
    server, job = serve(site), Job()
    with pytest.raises(JobFailed) as failed:
        scrape(connect).run(job, params(server.url("/gone")))
    assert failed.value.error_code == "http_status"
    assert failed.value.extra == {"status_code": 410}
    assert job.lines == [f"Failed to retrieve {server.url('/gone')}"]


@pytest.mark.parametrize("path", ["/private/page", "/astray"])
def test_robots_txt_is_respected_also_after_a_redirect(
    serve: Serve, connect: Connect, path: str
) -> None:
    server = serve(site)
    with pytest.raises(JobFailed) as failed:
        scrape(connect).run(Job(), params(server.url(path)))
    assert failed.value.error_code == "robots_disallowed"
    assert "/private/page" not in [visit.path for visit in server.visits]


def test_robots_txt_is_not_asked_for_if_the_job_says_so(serve: Serve, connect: Connect) -> None:
    server = serve(site)
    scrape(connect).run(Job(), params(server.url("/private/page"), respect_robots=False))
    assert [visit.path for visit in server.visits] == ["/private/page"]


def test_one_deadline_holds_for_robots_txt_and_the_page(serve: Serve, connect: Connect) -> None:
    def slow_page(visit: Visit) -> None:
        if visit.path == "/robots.txt":
            visit.send(answer(b""))
        visit.hold()

    with pytest.raises(JobFailed) as failed:
        scrape(connect, total_s=0.5).run(Job(), params(serve(slow_page).url()))
    assert failed.value.error_code == "timeout"


def test_a_job_whose_time_runs_out_ends_by_its_token(serve: Serve, connect: Connect) -> None:
    class Late(Job):
        def check(self) -> None:
            if server.visits:
                raise JobTimedOut

    server = serve(lambda visit: visit.hold())
    with pytest.raises(JobTimedOut):
        scrape(connect).run(Late(0.3), params(server.url(), respect_robots=False))


def test_headers_of_the_job_are_sent(serve: Serve, connect: Connect) -> None:
    server = serve(site)
    headers = {"accept": "text/html;q=0.5", "Authorization": "Bearer x"}
    scrape(connect).run(Job(), params(server.url("/x"), headers=headers))
    robots, page = server.visits
    assert page.header("Accept") == "text/html;q=0.5"
    assert page.header("Authorization") == "Bearer x"
    assert robots.header("Authorization") is None


@pytest.mark.parametrize("content_type", ["application/pdf", "text/plain", "application/json"])
def test_what_is_no_page_is_refused(serve: Serve, connect: Connect, content_type: str) -> None:
    server = serve(lambda v: v.send(answer(b"x", "200 OK", f"Content-Type: {content_type}")))
    with pytest.raises(JobFailed) as failed:
        scrape(connect).run(Job(), params(server.url(), respect_robots=False))
    assert failed.value.error_code == "unsupported_type"
