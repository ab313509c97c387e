"""The Flask application."""

from __future__ import annotations

from flask import Flask, Response

from service.api import about, batches, docs, jobs, metrics, timeline, traffic
from service.api.context import EXTENSION, NUMBERS, ROOM, admit
from service.api.openapi.document import describe
from service.api.origin import refuse_other_sites
from service.api.present import dumps
from service.api.problems import register_problems
from service.api.room import Room
from service.metrics.metrics import Metrics
from service.operations.operations import Operations


def create_app(operations: Operations, numbers: Metrics) -> Flask:
    """An application that serves these operations; it starts nothing.

    Raises StartRefused if a job type's params can't be described.
    """
    app = Flask("service", static_folder=None)
    app.extensions[EXTENSION] = operations
    app.extensions[ROOM] = Room(operations.settings.max_body_bytes)
    app.extensions[NUMBERS] = numbers
    app.url_map.strict_slashes = False
    app.after_request(_guard_types)
    traffic.register(app)
    app.before_request(admit)
    app.before_request(refuse_other_sites)
    for part in (batches, jobs, timeline, about, metrics, docs):
        app.register_blueprint(part.blueprint)
    register_problems(app)
    document = describe(app, operations.catalogue, operations.settings)
    app.extensions[docs.DOCUMENT] = dumps(document).encode()
    return app


def _guard_types(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
