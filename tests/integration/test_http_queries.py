"""Query parameters, on every route; and the size of what is polled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.api import Api, job

NDJSON = {"Content-Type": "application/x-ndjson"}


def pointers(response: Any) -> list[str]:
    return [error["pointer"] for error in response.json["errors"]]


@pytest.fixture
def path(api: Api) -> str:
    path = api.submit(job("raiser", error="ValueError"))
    api.ended(path)
    return path


ROUTES = [
    ("POST", "/v1/batches"),
    ("GET", "/v1/batches"),
    ("GET", "{path}"),
    ("DELETE", "{path}"),
    ("GET", "{path}/jobs"),
    ("GET", "{path}/results"),
    ("GET", "{path}/results?format=csv"),
    ("GET", "{path}/console"),
    ("POST", "{path}/cancel"),
    ("POST", "{path}/retry"),
    ("GET", "{job}"),
    ("GET", "{job}/result"),
    ("GET", "{job}/console"),
    ("POST", "{job}/cancel"),
    ("GET", "/v1/job-types"),
    ("GET", "/v1/executor"),
]


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_an_unknown_parameter_is_refused(api: Api, path: str, method: str, route: str) -> None:
    where = route.format(path=path, job=path.replace("batches", "jobs") + ".0")
    where += "&bo/gus=1" if "?" in where else "?bo/gus=1"
    response = api.client.open(where, method=method, json={} if method == "POST" else None)
    assert response.status_code == 422, response.text
    assert pointers(response) == ["/query/bo~1gus"]
    assert api.client.get(path).status_code == 200


def test_health_takes_any_parameter(api: Api) -> None:
    """Load balancers add some."""
    assert api.client.get("/healthz?x=1").status_code == 200
    assert api.client.get("/readyz?x=1").status_code == 200


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_options_names_the_methods(api: Api, path: str, method: str, route: str) -> None:
    where = route.format(path=path, job=path.replace("batches", "jobs") + ".0")
    response = api.client.options(where)
    assert (response.status_code, response.data) == (200, b"")
    assert {method, "OPTIONS"} <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize("query", ["name=%00", "label=a=%00", "label=%00=a", "name=a%00b"])
def test_nul_in_a_query_is_refused(api: Api, query: str) -> None:
    for response in (
        api.client.get(f"/v1/batches?{query}"),
        api.client.post(f"/v1/batches?{query}", data=json.dumps(job()), headers=NDJSON),
    ):
        assert response.status_code == 422
        assert pointers(response) == [f"/query/{query.partition('=')[0]}"]


def test_labels_of_a_list_have_all_to_be_there(api: Api) -> None:
    both = api.run(job(count=0), labels={"a": "1", "b": "2"})["id"]
    one = api.run(job(count=0), labels={"a": "1", "b": "3"})["id"]

    def ids(query: str) -> list[str]:
        return [batch["id"] for batch in api.get(f"/v1/batches?{query}")["items"]]

    assert ids("label=a=1") == [one, both]
    assert ids("label=a=1&label=b=2") == ids("label=b:2&label=a:1") == [both]
    assert ids("label=a=1&label=b=2&label=b=3") == []
    assert ids("label=a=1&label=b=2&outcome=succeeded&name=x") == []
    assert api.client.get("/v1/batches?" + "&".join(["label=a=1"] * 9)).status_code == 422
    first = api.client.get("/v1/batches?limit=1&label=a=1&label=b=2").json
    assert (len(first["items"]), first["next"]) == (1, None)


def test_labels_are_kept_from_page_to_page(api: Api) -> None:
    for _ in range(3):
        api.submit(job(count=0), labels={"a": "1", "b": "2"})
    api.submit(job(count=0), labels={"a": "1"})
    page = api.get("/v1/batches?limit=2&label=a=1&label=b=2")
    assert len(api.get(page["next"])["items"]) == 1


def test_a_label_given_twice_in_a_submit_is_refused(api: Api) -> None:
    response = api.client.post(
        "/v1/batches?label=a=1&label=a=2", data=json.dumps(job()), headers=NDJSON
    )
    assert (response.status_code, pointers(response)) == (422, ["/query/label"])
    response = api.client.post(
        "/v1/batches?label=a=1&label=b=2", data=json.dumps(job()), headers=NDJSON
    )
    assert response.json["labels"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "labels", [[f"{n}=x" for n in range(9)], [f"{'x' * 60}=1", f"{'y' * 60}=1"]]
)
def test_labels_in_the_query_of_a_submit_are_bounded(api: Api, labels: list[str]) -> None:
    response = api.client.post(
        "/v1/batches", query_string={"label": labels}, data=json.dumps(job()), headers=NDJSON
    )
    assert (response.status_code, pointers(response)) == (422, ["/query/label"])


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({str(n): "x" for n in range(9)}, None),
        ({"x" * 100: "a" * 20}, None),
        ({str(n): "é" * 10 for n in range(5)}, None),
        ({"a": "x" * 30}, "y" * 90),
        ({"a": "\x01" * 20}, None),
    ],
)
def test_what_stands_in_every_poll_is_small(api: Api, labels: Any, name: Any) -> None:
    response = api.post([job()], labels=labels, name=name)
    assert response.status_code == 422
    assert all(pointer.startswith("/labels") for pointer in pointers(response))


def test_a_status_is_at_most_a_kibibyte_with_the_longest_name_and_labels(api: Api) -> None:
    labels = {"team": "é" * 5, "x" * 12: "y" * 5}
    accepted = api.post([job(count=1)] * 10, name="𝄞" * 12, labels=labels)
    assert accepted.status_code == 202, accepted.text
    batch = api.client.get(accepted.headers["Location"])
    assert len(accepted.data) <= 1024
    assert len(batch.data) <= 1024
    again = api.post([job(count=1)] * 10, name="𝄞" * 12, labels={**labels, "z": "1"})
    assert again.status_code == 202, again.text
    more = api.post([job(count=1)] * 10, name="𝄞" * 12, labels={**labels, "z": "12"})
    assert more.status_code == 422
