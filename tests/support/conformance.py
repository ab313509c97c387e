"""Answers held against the document: nothing in them that it does not describe."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import jsonschema_rs
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from service.api.docs import DOCUMENT
from service.api.openapi.document import path_of

PROBLEM = "application/problem+json"
NDJSON = "application/x-ndjson"
NOT_OURS = {
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "referrer-policy",
    "x-accel-buffering",
    "x-content-type-options",
}
"""Headers of HTTP itself, of which an API's description says nothing."""


class Conformance:
    """The document of an application. ``check`` fails the test for an answer that strays."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._validators: dict[str, Any] = {}

    @cached_property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self._app.extensions[DOCUMENT]))

    @cached_property
    def _closed(self) -> dict[str, Any]:
        return {name: closed(one) for name, one in self.document["components"]["schemas"].items()}

    def check(self, response: TestResponse) -> None:
        where = f"{response.request.method} {response.request.path}: {response.status}"
        operation = self._operation(response.request.method, response.request.path)
        if operation is None:
            if response.status_code >= 400 and response.request.method != "HEAD":
                self._check_json({"$ref": "#/components/schemas/Problem"}, response.text, where)
            return
        described = operation["responses"].get(str(response.status_code))
        assert described, f"{where} is not described"
        _check_headers(described["headers"], response, where)
        if response.request.method != "HEAD" and response.status_code not in (204, 304):
            self._check_body(described["content"], response, where)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        try:
            rule, _ = self._app.url_map.bind("").match(path, method, return_rule=True)
        except HTTPException:
            return None
        methods = self.document["paths"][path_of(rule)]
        found = methods.get("get" if method == "HEAD" else method.lower())
        return dict(found) if found else None

    def _check_body(self, content: dict[str, Any], response: TestResponse, where: str) -> None:
        assert response.mimetype in content, f"{where}: {response.mimetype} is not described"
        media = content[response.mimetype]
        if response.mimetype == NDJSON and response.request.args.get("follow") == "true":
            return  # it may never end: the tests of streams read it
        if response.mimetype == NDJSON:
            for line in response.text.splitlines():
                self._check_json({"$ref": "#/components/schemas/Result"}, line, where)
            return
        if response.mimetype.endswith("json"):
            self._check_json(media["schema"], response.text, where)
        if response.mimetype == PROBLEM:
            code = json.loads(response.text)["code"]
            assert code in media["examples"], f"{where}: the code {code} is not described"

    def _check_json(self, schema: dict[str, Any], text: str, where: str) -> None:
        errors = [
            f"{error.instance_path}: {error.message}"
            for error in self._validator(schema).iter_errors(json.loads(text))
        ]
        assert not errors, f"{where}: {errors}"

    def _validator(self, schema: dict[str, Any]) -> Any:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": {"schemas": self._closed}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return self._validators[key]


def _check_headers(described: dict[str, Any], response: TestResponse, where: str) -> None:
    known = {name.lower(): header for name, header in described.items()}
    unknown = {name.lower() for name, _ in response.headers} - set(known) - NOT_OURS
    assert not unknown, f"{where}: the headers {unknown} are not described"
    for name, header in known.items():
        assert name in response.headers or not header["required"], f"{where}: no {name}"


def closed(schema: Any) -> Any:
    """The schema, with no room for properties that it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


class CheckedClient(FlaskClient):
    """A Flask client whose every answer is held against the document."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        conformance = self.application.extensions.setdefault(
            "conformance", Conformance(self.application)
        )
        conformance.check(response)
        return response
