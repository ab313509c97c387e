"""Every route, asked without a key, with a bad one, by a stranger and by the owner.

A new route fails here until it has a row: what it answers to whom is decided, not left over.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.test import TestResponse

from service.composition import Service
from tests.support.api import Api, job
from tests.support.keys import api_of, api_with, make_key

UNKNOWN = "0" * 20


class Row(NamedTuple):
    """``owner`` is the status that the owner of an ended batch (or job) gets. An open route
    answers so to all."""

    owner: int
    open: bool = False
    json: Any = None


BATCH = "/v1/batches/<batch_id>"
JOB = "/v1/jobs/<job_id>"

ROWS: dict[tuple[str, str], Row] = {
    ("GET", "/healthz"): Row(200, open=True),
    ("GET", "/readyz"): Row(200, open=True),
    ("GET", "/openapi.json"): Row(200, open=True),
    ("GET", "/docs"): Row(200, open=True),
    ("GET", "/docs/<path:asset>"): Row(200, open=True),
    ("GET", "/metrics"): Row(200, open=True),
    ("GET", "/v1/job-types"): Row(200),
    ("GET", "/v1/executor"): Row(200),
    ("GET", "/v1/batches"): Row(200),
    ("POST", "/v1/batches"): Row(202, json={"jobs": [job(count=0)]}),
    ("GET", BATCH): Row(200),
    ("DELETE", BATCH): Row(204),
    ("GET", f"{BATCH}/jobs"): Row(200),
    ("GET", f"{BATCH}/results"): Row(200),
    ("GET", f"{BATCH}/console"): Row(200),
    ("GET", f"{BATCH}/events"): Row(200),
    ("GET", f"{BATCH}/timeline"): Row(200),
    ("POST", f"{BATCH}/cancel"): Row(200),
    ("POST", f"{BATCH}/retry"): Row(202, json={"status": ["succeeded"]}),
    ("GET", JOB): Row(200),
    ("GET", f"{JOB}/result"): Row(200),
    ("GET", f"{JOB}/console"): Row(200),
    ("POST", f"{JOB}/cancel"): Row(200),
}
ABOUT_A_BATCH = sorted(route for route in ROWS if re.search("<(batch|job)_id>", route[1]))


def ask(api: Api, route: tuple[str, str], batch_id: str = UNKNOWN) -> TestResponse:
    method, rule = route
    path = rule.replace("<batch_id>", batch_id).replace("<job_id>", f"{batch_id}.0")
    path = path.replace("<path:asset>", "start.js")
    return api.client.open(path, method=method, json=ROWS[route].json)


def routes_of(app: Flask) -> set[tuple[str, str]]:
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_route_has_a_row_and_every_row_a_route(app: Flask) -> None:
    assert routes_of(app) == set(ROWS)


def test_who_may_ask_what(service: Service) -> None:
    own, other = api_of(service, "own"), api_of(service, "other")
    never_valid = f"jp_1_{'x' * 43}"
    strangers = [api_with(service, key) for key in (None, never_valid, make_key(service)[:-1])]
    for route, row in sorted(ROWS.items()):
        batch_id = own.run(job(count=1))["id"]
        for stranger in strangers:
            answer = ask(stranger, route, batch_id)
            if row.open:
                assert answer.status_code == row.owner, route
            else:
                assert_refused(answer)
        if route in ABOUT_A_BATCH:
            refused = ask(other, route, batch_id)
            assert refused.status_code == 404, route
            # nothing tells an id that is another's from one that is nobody's
            unknown = ask(other, route)
            assert shown(refused, batch_id) == shown(unknown, UNKNOWN), route
        answer = ask(own, route, batch_id)
        assert answer.status_code == row.owner, (route, answer.text)
        answer.close()


def test_no_form_of_a_route_shows_what_is_anothers(service: Service) -> None:
    batch = api_of(service, "own").run(job(count=1))
    other = api_of(service, "other")
    path = f"/v1/batches/{batch['id']}"
    for form in (
        f"{path}?wait=1",
        f"{path}/jobs?status=succeeded",
        f"{path}/results?format=ndjson",
        f"{path}/results?format=csv",
        f"{path}/results?follow=true",
        f"{path}/results?follow=true&after=0",
        f"{path}/console?follow=true",
        f"{path}/timeline?format=chrome-trace",
        f"/v1/jobs/{batch['id']}.0/console?follow=true",
    ):
        assert other.client.get(form).status_code == 404, form
    again = other.client.get(path, headers={"If-None-Match": 'W/"1"', "Last-Event-ID": "1"})
    assert again.status_code == 404


def assert_refused(answer: TestResponse) -> None:
    assert answer.status_code == 401, answer.request.path
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == "unauthorized"


def shown(answer: TestResponse, batch_id: str) -> tuple[Any, ...]:
    problem = {**answer.json, "request_id": None}
    problem["detail"] = problem["detail"].replace(batch_id, "<id>")
    headers = {name: value for name, value in answer.headers if name != "X-Request-Id"}
    headers.pop("Content-Length")
    return answer.status_code, problem, headers


def test_metrics_need_a_key_from_another_machine(service: Service) -> None:
    clients = api_of(service).client, api_with(service, None).client
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    assert [ask.get("/metrics").status_code for ask in clients] == [200, 200]
    asked = [ask.get("/metrics", environ_overrides=elsewhere) for ask in clients]
    assert [answer.status_code for answer in asked] == [200, 401]
    others = [ask.get("/v1/executor", environ_overrides={}) for ask in clients]
    assert [answer.status_code for answer in others] == [200, 401]


def test_what_is_no_route_needs_a_key_too(service: Service) -> None:
    own, nobody = api_of(service), api_with(service, None)
    for path in ("/", "/v1", "/v1/nothing", "/v1/batches/x/y", "/V1/batches", "//v1/batches", "/d"):
        for method in ("GET", "PUT", "OPTIONS", "HEAD"):
            assert nobody.client.open(path, method=method).status_code == 401, (method, path)
            assert own.client.open(path, method=method).status_code in (404, 308), (method, path)


def test_no_method_goes_around(service: Service) -> None:
    api_of(service)
    nobody = api_with(service, None)
    for path in ("/v1/batches", f"/v1/batches/{UNKNOWN}", "/v1/batches/"):
        for method in ("PUT", "OPTIONS", "HEAD", "PATCH", "TRACE"):
            assert nobody.client.open(path, method=method).status_code == 401, (method, path)
