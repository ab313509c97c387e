"""The scrape job: fetch one page, read out of it what is asked for."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final

import orjson

from service.errors import Flaw, JobFailed
from service.fetch.client import GuardedClient, any_hop
from service.fetch.exchange import Wanted
from service.fetch.response import Response
from service.fetch.robots import RobotsCache
from service.fetch.url import Url, check_target, parse_url
from service.jobs.contract import JobContext, JobType, JsonText
from service.jobs.extraction.extract import Request
from service.jobs.extraction.readers import PageReaders
from service.jobs.extraction.selectors import flaw_of
from service.jobs.scrape_params import ScrapeParams, picks

_PAGES: Final = Wanted(media_types=frozenset({"text/html", "application/xhtml+xml"}))
_ACCEPT: Final = "text/html,application/xhtml+xml"

# A job whose own time runs out first should end by its token, which knows why: so the fetch
# lasts a little longer than the job may.
_TOKEN_FIRST_S: Final = 0.1


class Scrape(JobType[ScrapeParams]):
    """Owns neither client nor robots cache nor readers: whoever made them closes them."""

    name: ClassVar[str] = "scrape"
    one_core: ClassVar[bool] = True
    description: ClassVar[str] = (
        "Fetch one HTML page, robots.txt permitting, and read its title, metadata, links and "
        "headings, its text, or what CSS selectors match."
    )
    params_model = ScrapeParams
    example: ClassVar[dict[str, Any]] = {
        "url": "https://example.com/",
        "select": {"first": "p", "hrefs": {"css": "a", "attr": "href", "all": True}},
    }

    def __init__(self, client: GuardedClient, robots: RobotsCache, readers: PageReaders) -> None:
        self._client = client
        self._robots = robots
        self._readers = readers

    def check_params(self, params: ScrapeParams) -> list[Flaw]:
        """Selectors that the chosen parser does not take, and a URL that the policy forbids.

        The latter is a courtesy: it asks no DNS; the control is at the dialling.
        """
        flaws = [
            Flaw(f"/select/{name}", flaw)
            for name, selector in picks(params.select).items()
            if (flaw := flaw_of(selector.css, params.parser)) is not None
        ]
        try:
            check_target(parse_url(params.url), self._client.policy.addresses)
        except JobFailed as error:
            flaws.append(Flaw("/url", error.detail))
        return flaws

    def host(self, params: ScrapeParams) -> str:
        url = parse_url(params.url)
        return f"{url.host}:{url.port}"

    def run(self, ctx: JobContext, params: ScrapeParams) -> JsonText:
        """Fetch and read the page. Raises JobFailed with the codes of scraping, or JobStopped."""
        try:
            result, title = self._scraped(ctx, params)
        except JobFailed:
            ctx.print(f"Failed to retrieve {params.url}")
            raise
        ctx.print(f"Title of {params.url}: {title}")
        return result

    def _scraped(self, ctx: JobContext, params: ScrapeParams) -> tuple[JsonText, str | None]:
        started = time.monotonic()
        response = self._fetched(ctx, params)
        fetched = time.monotonic()
        read = self._readers.read(
            response.body,
            response.head.get("content-type"),
            response.final_url,
            Request(params.include, params.parser, picks(params.select)),
            ctx,
        )
        parsed = time.monotonic()
        head = {
            "url": params.url,
            "final_url": response.final_url,
            "status_code": response.head.status_code,
            "redirects": list(response.redirects),
            "content_type": response.head.media_type,
            "charset": read.charset,
            "bytes": len(response.body),
            "fetch_ms": _ms(fetched - started),
            "parse_ms": _ms(parsed - fetched),
        }
        # what was read is JSON already, and large: it is put behind the rest as it is
        return JsonText(orjson.dumps(head)[:-1].decode() + "," + read.page[1:]), read.title

    def _fetched(self, ctx: JobContext, params: ScrapeParams) -> Response:
        """The page; robots.txt is asked within the same deadline, at every redirect."""
        deadline = self._client.deadline(ctx.remaining_s() + _TOKEN_FIRST_S)
        first = parse_url(params.url)

        def ask_robots(url: Url) -> None:
            self._robots.check(url, ctx.check, deadline=deadline)
            if url.origin == first.origin:
                ctx.keep_gap(self._robots.crawl_delay_s(url, ctx.check, deadline=deadline))

        return self._client.get(
            params.url,
            _with_accept(params.headers),
            ctx.check,
            wanted=_PAGES,
            deadline=deadline,
            before_hop=ask_robots if params.respect_robots else any_hop,
        )


def _with_accept(headers: dict[str, str]) -> dict[str, str]:
    named = any(name.lower() == "accept" for name in headers)
    return headers if named else {"Accept": _ACCEPT} | headers


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
