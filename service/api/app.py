"""The Flask application."""

from __future__ import annotations

import re
from uuid import uuid4

from flask import Flask, Response, g, request

from service.api import about, batches, jobs
from service.api.context import EXTENSION
from service.api.problems import register_problems
from service.operations.operations import Operations

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def create_app(operations: Operations) -> Flask:
    """An application that serves these operations; it starts nothing."""
    app = Flask("service", static_folder=None)
    app.extensions[EXTENSION] = operations
    app.url_map.strict_slashes = False
    app.before_request(_name_request)
    app.after_request(_tag_response)
    for blueprint in (batches.blueprint, jobs.blueprint, about.blueprint):
        app.register_blueprint(blueprint)
    register_problems(app)
    return app


def _name_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def _tag_response(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
