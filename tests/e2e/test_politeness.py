"""Few visits to a host at once and not too soon after each other, over all processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest

from tests.support.server import Server
from tests.support.site import Site
from tests.support.waiting import eventually


@pytest.fixture
def host() -> Iterator[Callable[..., Site]]:
    """Hosts of their own addresses on one port."""
    with ExitStack() as stack:
        sites: list[Site] = []

        def make(delay_s: float = 0.0) -> Site:
            port = sites[0].port if sites else 0
            site = Site(f"127.0.0.{len(sites) + 1}", port, delay_s)
            site.pages["/"] = "<title>Hello</title>"
            sites.append(site)
            return stack.enter_context(site)

        yield make


def polite(make_server: Callable[..., Server], site: Site, **settings: Any) -> Server:
    allow = {"fetch_allow_cidrs": "127.0.0.0/8", "fetch_allow_ports": str(site.port)}
    return make_server(**allow, **settings).start()


def scrapes(site: Site, count: int) -> list[Any]:
    return [{"type": "scrape", "params": {"url": f"{site.url}/?{n}"}} for n in range(count)]


def with_queries(site: Site, count: int) -> None:
    site.pages.update({f"/?{n}": "<title>Hello</title>" for n in range(count)})


def gaps_of(site: Site) -> list[float]:
    return [b - a for a, b in pairwise(sorted(site.arrivals))]


def test_a_slow_host_holds_nobody_up_and_is_not_crowded(
    make_server: Callable[..., Server], host: Callable[..., Site]
) -> None:
    slow = host(delay_s=0.6)
    others = [host() for _ in range(10)]
    with_queries(slow, 80)
    for other in others:
        with_queries(other, 5)
    server = polite(make_server, slow, workers=4, pool_size=4)
    jobs = [*scrapes(slow, 80), *(job for other in others for job in scrapes(other, 5))]
    path = server.submit(*jobs)
    eventually(
        lambda: all(len(other.arrivals) == 5 for other in others),
        "the others are done",
        timeout_s=60,
    )
    assert len(slow.arrivals) < 60, "the others are done in a second, the slow host in twelve"
    eventually(lambda: server.get(path)["counts"]["running"] <= 4, "only the slow host's jobs run")
    assert server.get(path)["counts"]["queued"], "the slow host was done as well"
    waiting = [item for item in server.jobs(path) if item["wait_reason"]]
    assert {item["wait_reason"] for item in waiting} == {"host_limit"}
    assert server.ended(path, timeout_s=60)["counts"]["succeeded"] == 130
    assert slow.most_at_once <= 4
    gaps = [gap for other in others for gap in gaps_of(other)]
    # a visit that was on its way for long comes closer to the next: their mean tells
    assert sum(gaps) / len(gaps) > 0.05, "0.1 s, measured there"


def test_a_crawl_delay_is_kept_by_every_process(
    make_server: Callable[..., Server], host: Callable[..., Site]
) -> None:
    site = host()
    with_queries(site, 6)
    site.pages["/robots.txt"] = "User-agent: *\nCrawl-delay: 1\n"
    server = polite(make_server, site, workers=2, host_concurrency=1)
    path = server.submit(*scrapes(site, 6))
    eventually(
        lambda: "robots_delay" in {item["wait_reason"] for item in server.jobs(path)}, "it waits"
    )
    assert server.ended(path)["outcome"] == "succeeded"
    gaps = gaps_of(site)
    assert min(gaps) > 0.5, "1 s, less what a visit was late"
    assert sum(gaps) / len(gaps) > 0.9


def test_retry_after_moves_the_whole_host_and_no_other(
    make_server: Callable[..., Server], host: Callable[..., Site]
) -> None:
    busy, other = host(), host()
    with_queries(busy, 4)
    with_queries(other, 4)
    busy.headers["/?0"] = (503, {"Retry-After": "3"})
    server = polite(make_server, busy, host_concurrency=1)
    first = {**scrapes(busy, 1)[0], "max_attempts": 1}
    path = server.submit(first, *scrapes(busy, 4)[1:], *scrapes(other, 4))
    assert server.ended(path)["outcome"] == "partial"
    told, *after = sorted(busy.arrivals)
    assert after[0] - told > 2.9
    assert max(other.arrivals) < after[0]
