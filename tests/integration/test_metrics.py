"""/metrics, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from service.composition import Service
from tests.support.api import Api, job
from tests.support.waiting import eventually

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(client: FlaskClient) -> Values:
    response = client.get("/metrics", buffered=True)
    assert response.status_code == 200
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    values: Values = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in values, "a series stands there twice"
            values[series] = sample.value
    return values


def value(values: Values, name: str, **labels: str) -> float:
    return values.get((name, frozenset(labels.items())), 0.0)


@pytest.fixture
def api(client: FlaskClient) -> Api:
    return Api(client)


def test_jobs_are_counted_as_their_batch_tells(api: Api) -> None:
    api.run(*[job(count=1)] * 20, job("raiser", error="ValueError"), job("letters", letters="AB"))
    values = scrape(api.client)
    finished = "jobspool_jobs_finished_total"
    assert value(values, finished, type="numbers", status="succeeded") == 20
    assert value(values, finished, type="letters", status="succeeded") == 1
    assert value(values, finished, type="raiser", status="failed") == 1
    assert value(values, "jobspool_job_errors_total", type="raiser", code="exception") == 1
    assert value(values, "jobspool_job_run_seconds_count", type="numbers") == 20
    assert value(values, "jobspool_job_queue_seconds_count", type="numbers") == 20
    assert value(values, "jobspool_batches_ended_total", outcome="partial") == 1
    assert value(values, "jobspool_queue_depth") == 0
    assert value(values, "jobspool_processes") == 1
    assert value(values, "process_resident_memory_bytes") > 1 << 20
    assert value(values, "jobspool_commit_seconds_count") > 0


def test_an_attempt_that_is_tried_again_is_no_end(api: Api) -> None:
    api.run(job("raiser", error="ValueError"), defaults={"max_attempts": 3})
    values = scrape(api.client)
    assert value(values, "jobspool_jobs_finished_total", type="raiser", status="failed") == 1


def test_what_is_cancelled_before_it_began_is_counted_without_a_time(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    path = api.submit(*[job(count=1, delay_s=30)] * 5)
    api.until(path, "running")  # it is claimed then, and on its way to a thread
    eventually(
        lambda: value(scrape(api.client), "jobspool_threads", state="busy") == 1, "it has a thread"
    )
    values = scrape(api.client)
    assert value(values, "jobspool_queue_depth") == 4
    assert value(values, "jobspool_threads", state="idle") == 0
    api.client.post(f"{path}/cancel")
    api.ended(path)
    values = scrape(api.client)
    assert value(values, "jobspool_jobs_finished_total", type="numbers", status="cancelled") == 5
    assert value(values, "jobspool_job_run_seconds_count", type="numbers") == 1
    assert value(values, "jobspool_batches_ended_total", outcome="cancelled") == 1


def test_the_oldest_wait_is_told_while_something_waits(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    path = api.submit(*[job(count=1, delay_s=30)] * 2)
    api.until(path, "running")
    eventually(
        lambda: value(scrape(api.client), "jobspool_oldest_wait_seconds") > 0, "a wait is told"
    )
    api.client.post(f"{path}/cancel")


def test_requests_are_counted_by_route_and_unknown_paths_are_one(client: FlaskClient) -> None:
    for n in range(30):
        client.get(f"/no/such/{n}", buffered=True)
        client.get(f"/v1/batches/unknown-{n}", buffered=True)
        client.open("/healthz", method=f"MADE-UP-{n}", buffered=True)
    values = scrape(client)
    requests = "jobspool_http_requests_total"
    assert value(values, requests, route="unknown", method="GET", status="404") == 30
    route = "/v1/batches/<batch_id>"
    assert value(values, requests, route=route, method="GET", status="404") == 30
    assert value(values, "jobspool_http_request_seconds_count", route=route) == 30
    assert value(values, requests, route="unknown", method="other", status="405") == 30
    assert sum(name == requests for name, _ in values) == 3
    assert value(scrape(client), requests, route="/metrics", method="GET", status="200") == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"jobs": [{"type": "no-such-type", "params": {}}]}, "invalid"),
        ({"jobs": []}, "invalid"),
        ("not an object", "invalid"),
    ],
)
def test_a_refused_batch_is_counted_by_its_reason(
    client: FlaskClient, body: Any, reason: str
) -> None:
    assert client.post("/v1/batches", json=body).json["code"] == reason
    assert value(scrape(client), "jobspool_refused_total", reason=reason) == 1


def test_metrics_are_told_while_the_store_can_not_be_read(
    service: Service, client: FlaskClient
) -> None:
    service.operations.settings.database_path.unlink()
    values = scrape(client)
    assert value(values, "jobspool_threads", state="idle") == 8
