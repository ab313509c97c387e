"""What the document says beside its routes."""

from __future__ import annotations

from typing import Final

INTRODUCTION: Final = """\
A *batch* is a set of *jobs*. Submit one, and it is on disk when the answer comes; look at its
status, wait for its end, read its results.

- Times are RFC 3339, UTC, with milliseconds, and end in `_at`; durations end in `_s` or `_ms`.
- Whole numbers are written without a fraction: `5`, not `5.0`; no text may hold NUL.
- Every answer that is not 2xx or 3xx is `application/problem+json` (RFC 9457). Look at its `code`.
- An unknown path is 404 `not-found`, a method that a path has not 405 `method-not-allowed` with
  `Allow`.
- Unknown fields and query parameters are errors. Answers may get new fields: pass over what you
  do not know.
- With keys, a request without a known one is 401, and what another key made is 404.
- A 429 (a key's quota) and a 503 tell by `Retry-After` when to come again; a submit with an
  `Idempotency-Key` can be repeated without fear.
"""

SECURITY: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key, as `jobspool keys create NAME` shows it. A service that never had a key "
    "asks for none; any other shows each key what was made with that key, and nothing else.",
}

TAGS: Final = {
    "batches": "Submit, look, cancel, retry, remove.",
    "jobs": "One job by its id, `<batch id>.<index>`.",
    "about": "The service itself.",
    "docs": "This description.",
}
