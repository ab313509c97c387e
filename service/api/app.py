"""The Flask application."""

from __future__ import annotations

import re
from uuid import uuid4

from flask import Flask, Response, g, request

from service.api import about, batches, docs, jobs
from service.api.context import EXTENSION, ROOM
from service.api.openapi.document import describe
from service.api.present import dumps
from service.api.problems import register_problems
from service.api.room import Room
from service.operations.operations import Operations

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def create_app(operations: Operations) -> Flask:
    """An application that serves these operations; it starts nothing.

    Raises StartRefused if a job type's params can't be described.
    """
    app = Flask("service", static_folder=None)
    app.extensions[EXTENSION] = operations
    app.extensions[ROOM] = Room(operations.settings.max_body_bytes)
    app.url_map.strict_slashes = False
    app.before_request(_name_request)
    app.after_request(_tag_response)
    for blueprint in (batches.blueprint, jobs.blueprint, about.blueprint, docs.blueprint):
        app.register_blueprint(blueprint)
    register_problems(app)
    document = describe(app, operations.catalogue, operations.settings)
    app.extensions[docs.DOCUMENT] = dumps(document).encode()
    return app


def _name_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def _tag_response(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
