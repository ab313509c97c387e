"""The tools that people would use instead, each as one of their users would write it.

Run in a process of its own: ``python -m tests.benchmarks.scrape.peers NAME < urls``. All read
the same out of each page: title, description, headings and links. Prints how many pages it read.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any
from urllib.parse import urljoin

HEADINGS = "h1, h2, h3, h4, h5, h6"


def with_beautifulsoup(url: str, html: bytes) -> dict[str, Any]:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    description = soup.find("meta", attrs={"name": "description"})
    return {
        "title": soup.title.get_text() if soup.title else None,
        "description": description.get("content") if description else None,
        "headings": [heading.get_text() for heading in soup.select(HEADINGS)],
        "links": [
            {"url": urljoin(url, str(a["href"])), "text": a.get_text()}
            for a in soup.find_all("a", href=True)
        ],
    }


def with_lexbor(url: str, html: bytes) -> dict[str, Any]:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html.decode())
    title = tree.css_first("title")
    description = tree.css_first('meta[name="description"]')
    return {
        "title": title.text() if title else None,
        "description": description.attributes.get("content") if description else None,
        "headings": [heading.text() for heading in tree.css(HEADINGS)],
        "links": [
            {"url": urljoin(url, a.attributes["href"] or ""), "text": a.text()}
            for a in tree.css("a[href]")
        ],
    }


def lesson(urls: list[str]) -> int:
    """The lesson: a thread for each URL, requests and Beautiful Soup."""
    import requests

    read: list[dict[str, Any]] = []

    def fetch(url: str) -> None:
        read.append(with_beautifulsoup(url, requests.get(url, timeout=60).content))

    for first in range(0, len(urls), 100):  # a thread a URL, but not thousands of them
        threads = [Thread(target=fetch, args=(url,)) for url in urls[first : first + 100]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return len(read)


def requests_lexbor(urls: list[str]) -> int:
    import requests

    with requests.Session() as session, ThreadPoolExecutor(16) as pool:
        pages = pool.map(lambda url: with_lexbor(url, session.get(url, timeout=60).content), urls)
        return sum(1 for page in pages if page["title"] is not None)


def aiohttp_lexbor(urls: list[str]) -> int:
    import aiohttp

    async def run() -> int:
        limit = asyncio.Semaphore(32)
        async with aiohttp.ClientSession() as session:

            async def fetch(url: str) -> dict[str, Any]:
                async with limit, session.get(url) as answer:
                    return with_lexbor(url, await answer.read())

            pages = await asyncio.gather(*(fetch(url) for url in urls))
            return sum(1 for page in pages if page["title"] is not None)

    return asyncio.run(run())


def pycurl_lexbor(urls: list[str]) -> int:
    """The bare loop: what libcurl and lexbor can do on two threads, and nothing else done."""
    import io

    import pycurl

    def loop(mine: list[str]) -> int:
        curl, read = pycurl.Curl(), 0
        for url in mine:
            body = io.BytesIO()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.WRITEDATA, body)
            curl.perform()
            read += with_lexbor(url, body.getvalue())["title"] is not None
        curl.close()
        return read

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(loop, (urls[0::2], urls[1::2])))


def scrapy(urls: list[str]) -> int:
    import scrapy
    from scrapy.crawler import CrawlerProcess

    read: list[dict[str, Any]] = []

    class Pages(scrapy.Spider):  # type: ignore[misc]
        name = "pages"

        async def start(self) -> Any:
            for url in urls:
                yield scrapy.Request(url)

        def parse(self, response: Any) -> None:
            read.append(
                {
                    "title": response.css("title::text").get(),
                    "description": response.css('meta[name="description"]::attr(content)').get(),
                    "headings": [h.xpath("string()").get() for h in response.css(HEADINGS)],
                    "links": [
                        {
                            "url": response.urljoin(a.attrib["href"]),
                            "text": a.xpath("string()").get(),
                        }
                        for a in response.css("a[href]")
                    ],
                }
            )

    process = CrawlerProcess(
        {
            "LOG_ENABLED": False,
            "CONCURRENT_REQUESTS": 32,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 32,
            "DOWNLOAD_DELAY": 0,
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    process.crawl(Pages)
    process.start()
    return len(read)


PEERS: dict[str, Callable[[list[str]], int]] = {
    "lesson": lesson,
    "requests_lexbor": requests_lexbor,
    "aiohttp_lexbor": aiohttp_lexbor,
    "pycurl_lexbor": pycurl_lexbor,
    "scrapy": scrapy,
}

if __name__ == "__main__":
    from time import perf_counter

    given = sys.stdin.read().split()
    begun = perf_counter()
    print(PEERS[sys.argv[1]](given), perf_counter() - begun)
