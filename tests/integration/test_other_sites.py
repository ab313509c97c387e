"""A web page that someone on the operator's machine opens can't use the service."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.support.api import Api

OTHERS = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9000"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:9000"},
    {"Origin": "null"},
]
OWN = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost"},
]


def submit(client: FlaskClient, headers: dict[str, str]) -> int:
    body = "http://example.com/\n"
    return client.post(
        "/v1/batches", data=body, content_type="text/plain", headers=headers
    ).status_code


@pytest.mark.parametrize("headers", OTHERS)
def test_another_sites_page_can_submit_and_remove_nothing(
    api: Api, headers: dict[str, str]
) -> None:
    assert submit(api.client, headers) == 403
    assert api.get("/v1/batches")["items"] == []
    refused = api.client.delete("/v1/batches/x", headers=headers)
    assert (refused.status_code, refused.json["code"]) == (403, "cross-site")


@pytest.mark.parametrize("headers", OWN)
def test_other_clients_and_its_own_page_can(api: Api, headers: dict[str, str]) -> None:
    assert submit(api.client, headers) == 202


def test_reading_is_left_to_the_browsers_own_rules(api: Api) -> None:
    response = api.client.get("/healthz", headers=OTHERS[0])
    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers
