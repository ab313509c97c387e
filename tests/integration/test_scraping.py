"""Scrapes through the whole service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.composition import Service
from tests.support.api import Api, job
from tests.support.site import Site

TEXT = {"Content-Type": "text/plain"}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.pages["/a"] = (
            "<html lang=en><head><title> A \n page</title><base href='/dir/'>"
            "<meta name=description content='What it is'></head>"
            "<body><h1>Head</h1><a href=b rel=next>B</a><p class=price>5</p></body></html>"
        )
        yield site


@pytest.fixture
def api(make_service: Callable[..., Service], site: Site) -> Api:
    service = make_service(fetch_allow_cidrs="127.0.0.0/8", fetch_allow_ports=str(site.port))
    return Api(service.app.test_client())


def scraped(api: Api, **params: Any) -> Any:
    path = api.submit(job("scrape", **params))
    api.ended(path)
    return api.jobs(path)[0]


@pytest.mark.parametrize("parser", ["lexbor", "beautifulsoup"])
def test_a_page_is_read(api: Api, site: Site, parser: str) -> None:
    select = {"price": ".price", "links": {"css": "a", "attr": "href", "all": True}}
    item = scraped(api, url=f"{site.url}/a", select=select, parser=parser)
    result = item["result"]
    assert item["status"] == "succeeded", item["error"]
    assert (result["title"], result["description"], result["language"]) == (
        "A page",
        "What it is",
        "en",
    )
    assert result["headings"] == [{"level": 1, "text": "Head"}]
    assert result["links"] == [{"url": f"{site.url}/dir/b", "text": "B", "rel": "next"}]
    assert result["selected"] == {"price": "5", "links": ["b"]}
    assert result["status_code"] == 200


def test_a_missing_page_is_a_failed_job_with_its_status(api: Api, site: Site) -> None:
    item = scraped(api, url=f"{site.url}/nothing")
    assert (item["error"]["code"], item["error"]["status_code"]) == ("http_status", 404)


def test_a_list_of_urls_is_a_batch_of_scrapes(api: Api, site: Site) -> None:
    body = f"{site.url}/a\r\n\n  {site.url}/a  \n{site.url}/nothing"
    response = api.client.post("/v1/batches?wait=20&name=list", data=body, headers=TEXT)
    assert response.status_code == 200, response.text
    counts = response.json["counts"]
    assert (counts["total"], counts["succeeded"], counts["failed"]) == (3, 2, 1)


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/", "http://user@example.com/", "nonsense", "http://10.0.0.1/", "http:///x"],
)
def test_a_url_that_can_not_be_fetched_is_refused_at_submit(api: Api, url: str) -> None:
    for response in (
        api.post([job("scrape", url=url)]),
        api.client.post("/v1/batches", data=url, headers=TEXT),
    ):
        assert response.status_code == 422, url
        assert response.json["errors"][0]["pointer"] == "/jobs/0/params/url"


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"select": {"x": "a["}}, "select/x"),
        ({"parser": "html5lib"}, "parser"),
        ({"headers": {"X\r\nY": "z"}}, "headers"),
        ({"headers": {"Host": "z"}}, "headers"),
        ({"include": ["everything"]}, "include"),
        ({"more": 1}, "more"),
        ({"url": None}, "url"),
    ],
)
def test_wrong_params_are_refused_at_submit(
    api: Api, site: Site, params: dict[str, Any], pointer: str
) -> None:
    response = api.post([job("scrape", **{"url": f"{site.url}/a", **params})])
    assert response.status_code == 422
    assert response.json["errors"][0]["pointer"].startswith(f"/jobs/0/params/{pointer}")


def test_loopback_is_not_reached_unless_allowed(
    make_service: Callable[..., Service], site: Site
) -> None:
    api = Api(make_service(fetch_allow_ports=f"80,{site.port}").app.test_client())
    assert api.post([job("scrape", url=f"{site.url}/a")]).status_code == 422
    item = scraped(api, url=f"http://localhost:{site.port}/a")
    assert item["error"]["code"] == "blocked_target"
    assert "127.0.0.1" not in str(item["error"])


def test_the_service_is_not_sent_to_itself(
    make_service: Callable[..., Service], site: Site
) -> None:
    """Not even where the operator allows loopback: it could post batches to itself."""
    allow = {"fetch_allow_cidrs": "127.0.0.0/8,::1/128", "fetch_allow_ports": str(site.port)}
    api = Api(make_service(**allow, port=site.port).app.test_client())
    assert api.post([job("scrape", url=f"{site.url}/a")]).status_code == 422
    item = scraped(api, url=f"http://localhost:{site.port}/a")
    assert item["error"]["code"] == "blocked_target"
    assert site.arrivals == []


def test_a_retried_scrape_still_waits_for_its_host(
    make_service: Callable[..., Service],
) -> None:
    with Site(delay_s=0.2) as site:
        ports = str(site.port)
        service = make_service(
            fetch_allow_cidrs="127.0.0.0/8", fetch_allow_ports=ports, host_concurrency=1
        )
        api = Api(service.app.test_client())
        path = api.submit(*[job("scrape", url=f"{site.url}/{n}") for n in range(3)])
        assert api.ended(path)["outcome"] == "failed"
        again = api.client.post(f"{path}/retry").headers["Location"]
        assert api.ended(again)["outcome"] == "failed"
        assert len(site.arrivals) == 6
        assert site.most_at_once == 1
