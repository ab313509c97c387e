"""The headers of answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from service.api.openapi.parts import Header

LOCATION: Final = Header(
    "Location",
    "The batch.",
    {"type": "string", "format": "uri-reference"},
    "/v1/batches/07NC4gTqVd1FhRz2sKpW",
    required=True,
)
RETRY_AFTER: Final = Header(
    "Retry-After", "Seconds after which to ask again.", {"type": "integer", "minimum": 0}, 2
)
ETAG: Final = Header(
    "ETag",
    "Changes whenever something happens to the batch.",
    {"type": "string"},
    'W/"7"',
    required=True,
)
DOCUMENT_ETAG: Final = Header(
    "ETag", "Changes with the content.", {"type": "string"}, '"9f86d081884c7d65"', required=True
)
LINK: Final = Header(
    "Link",
    "The next page (RFC 8288), if there is one.",
    {"type": "string"},
    '</v1/batches?cursor=AAAAAAAAAABj>; rel="next"',
)
PREFERENCE_APPLIED: Final = Header(
    "Preference-Applied",
    "Says that a `Prefer: wait=N` was followed, and with which N.",
    {"type": "string"},
    "wait=30",
)
WAIT_REFUSED: Final = Header(
    "Wait-Refused",
    "The request wanted to wait, and was answered at once: too many wait already.",
    {"type": "string", "enum": ["too-many-streams"]},
    "too-many-streams",
)
IDEMPOTENCY_REPLAYED: Final = Header(
    "Idempotency-Replayed",
    "This is the answer to an earlier request with the same key.",
    {"type": "string", "enum": ["true"]},
    "true",
)
RATE_LIMIT: Final = (
    Header(
        "RateLimit-Policy",
        "How many batches the key may submit (`q`) in how many seconds (`w`); only with a key that "
        "has such a limit.",
        {"type": "string"},
        '"batches";q=600;w=60',
    ),
    Header(
        "RateLimit",
        "How many of them are left (`r`), and for how many seconds (`t`).",
        {"type": "string"},
        '"batches";r=599;t=60',
    ),
)
WWW_AUTHENTICATE: Final = Header(
    "WWW-Authenticate",
    "What is needed.",
    {"type": "string", "enum": ["Bearer"]},
    "Bearer",
    required=True,
)
REQUEST_ID: Final = Header(
    "X-Request-Id",
    "The request's own, or one that was made.",
    {"type": "string"},
    "c0ffee",
    required=True,
)


def described(headers: Iterable[Header]) -> dict[str, Any]:
    """As OpenAPI wants them."""
    return {
        header.name: {
            "description": header.description,
            "required": header.required,
            "schema": dict(header.schema),
            "example": header.example,
        }
        for header in headers
    }
