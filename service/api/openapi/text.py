"""What the document says beside its routes."""

from __future__ import annotations

from typing import Final

INTRODUCTION: Final = """\
A *batch* is a set of *jobs*. Submit one, and it is on disk when the answer comes; look at its
status, wait for its end, read its results.

- Times are RFC 3339, UTC, with milliseconds, and end in `_at`; durations end in `_s` or `_ms`.
- Every answer that is not 2xx or 3xx is `application/problem+json` (RFC 9457). Look at its `code`.
- An unknown path is 404 `not-found`, a method that a path has not 405 `method-not-allowed` with
  `Allow`.
- Unknown fields and query parameters are errors. Answers may get new fields: pass over what you
  do not know.
- A 503 tells by `Retry-After` when to come again; a submit with an `Idempotency-Key` can be
  repeated without fear.
"""

TAGS: Final = {
    "batches": "Submit, look, cancel, retry, remove.",
    "jobs": "One job by its id, `<batch id>.<index>`.",
    "about": "The service itself.",
    "docs": "This description.",
}
