"""/openapi.json, and /docs: Swagger UI from an installed package, so that it works offline."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

import flask_openapi3_swagger
from flask import Blueprint, Response, current_app, request

from service.api.openapi.answers import OpenApi
from service.api.openapi.declare import Answer, documented
from service.api.openapi.headers import DOCUMENT_ETAG
from service.api.parameters import IF_NONE_MATCH
from service.errors import NotFound

blueprint = Blueprint("docs", __name__)

DOCUMENT: Final = "jobspool.openapi"
"""The document's bytes, among the application's extensions."""

_ASSETS: Final = files(flask_openapi3_swagger) / "templates" / "swagger"
_KINDS: Final = {
    "css/swagger-ui.css": "text/css",
    "images/swagger.svg": "image/svg+xml",
    "js/swagger-ui-bundle.js": "text/javascript",
}

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>jobspool API</title>
<link rel="icon" href="docs/images/swagger.svg">
<link rel="stylesheet" href="docs/css/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/js/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """\
SwaggerUIBundle({
  url: new URL("openapi.json", location.href).href,
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""

# Swagger UI sets styles of elements, and draws its icons from data: URLs
_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@blueprint.get("/openapi.json")
@documented(
    {
        200: Answer("This document.", model=OpenApi, headers=(DOCUMENT_ETAG,)),
        304: Answer("It is what it was.", headers=(DOCUMENT_ETAG,)),
    },
    headers=(IF_NONE_MATCH,),
)
def show_openapi() -> Response:
    """This document, OpenAPI 3.1."""
    return _lasting(current_app.extensions[DOCUMENT], "application/json")


@blueprint.get("/docs")
@documented({200: Answer("Swagger UI.", texts={"text/html": "<!doctype html>…"})})
def show_docs() -> Response:
    """This document as a page to read and to try."""
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
    return Response(_PAGE, content_type="text/html; charset=utf-8", headers=headers)


@blueprint.get("/docs/<path:asset>")
@documented(
    {
        200: Answer(
            "A script, a style sheet or a picture.",
            texts={"text/javascript": "…", "text/css": "…", "image/svg+xml": "…"},
            headers=(DOCUMENT_ETAG,),
        ),
        304: Answer("It is what it was.", headers=(DOCUMENT_ETAG,)),
    },
    headers=(IF_NONE_MATCH,),
    problems=(NotFound,),
)
def show_docs_asset(asset: str) -> Response:
    """What the page at /docs is made of."""
    if asset == "start.js":
        return _lasting(_START.encode(), "text/javascript; charset=utf-8")
    if asset not in _KINDS:
        raise NotFound(f"there is no such part of the page; there are {', '.join(_KINDS)}")
    return _lasting(_ASSETS.joinpath(asset).read_bytes(), f"{_KINDS[asset]}; charset=utf-8")


def _lasting(content: bytes, kind: str) -> Response:
    """Changes with the version only: a browser asks again, and mostly gets a 304."""
    response = Response(content, content_type=kind, headers={"Cache-Control": "no-cache"})
    response.set_etag(hashlib.sha256(content).hexdigest()[:16])
    response.make_conditional(request)
    return response
