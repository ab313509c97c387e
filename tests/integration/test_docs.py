"""/openapi.json and /docs: served whole, from here only."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

OUTSIDE = re.compile(r"(?:https?:)?//[a-z]")


def test_the_document_is_served_and_can_be_asked_for_again(client: FlaskClient) -> None:
    first = client.get("/openapi.json")
    assert (first.status_code, first.json["openapi"]) == (200, "3.1.0")
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_page_loads_all_it_needs_from_here(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert not OUTSIDE.search(page.text)
    assert "<script>" not in page.text, "a strict policy forbids scripts in the page"
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(linked) == 4
    for reference in linked:
        asset = client.get("/" + reference)
        assert (asset.status_code, len(asset.data) > 100) == (200, True), reference


def test_the_page_may_not_load_anything_from_elsewhere(client: FlaskClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert not OUTSIDE.search(policy)
    assert "script-src" not in policy, "what it says of scripts is the default"


def test_the_style_sheet_loads_nothing(client: FlaskClient) -> None:
    sheet = client.get("/docs/css/swagger-ui.css").text
    assert all(found.startswith("data:") for found in re.findall(r"url\([\"']?([^)]*)", sheet))
    assert "@import" not in sheet


def test_the_page_starts_with_our_document(client: FlaskClient) -> None:
    start = client.get("/docs/start.js")
    assert start.mimetype == "text/javascript"
    assert '"openapi.json"' in start.text
    assert "validatorUrl: null" in start.text, "Swagger UI would ask validator.swagger.io"


@pytest.mark.parametrize(
    "path", ["x", "../__init__.py", "js/../../__init__.py", "%2e%2e/__init__.py", "js"]
)
def test_nothing_else_of_the_package_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(f"/docs/{path}").status_code == 404
