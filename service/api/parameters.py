"""The parameters that requests may have, in the query and in headers."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from service.api.openapi.parts import Parameter
from service.api.submission import MAX_LABELS, Defaults, OptionsIn
from service.model import ID_CHARS
from service.store.pages import MOST_SPANS

MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 100

KEY_PATTERN: Final = r'"([ !#-~]{1,255})"|([!#-~][!-~]{0,254})'


def choice(name: str, description: str, *values: str, **more: Any) -> Parameter:
    return Parameter(name, description, {"type": "string", "enum": list(values), **more}, values[0])


def flag(name: str, description: str) -> Parameter:
    return Parameter(name, description, {"type": "boolean", "default": False}, True)


# --- waiting and paging -----------------------------------------------------------------------

WAIT: Final = Parameter(
    "wait",
    "Wait so many seconds for the batch to end; the answer comes as soon as it has.",
    {"type": "number", "minimum": 0},
    30,
    bound="max_wait_s",
)
LIMIT: Final = Parameter(
    "limit",
    f"At most so many items; {DEFAULT_LIMIT} without it. A page may hold fewer: only `next` tells "
    "whether there are more.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    100,
)


def _cursor(example: str) -> Parameter:
    text = "Where the page before ended. Opaque: follow `next` rather than making one."
    return Parameter("cursor", text, {"type": "string", "pattern": "^[A-Za-z0-9_-]{12}$"}, example)


BATCH_CURSOR: Final = _cursor("AAAAAAAAAABj")
JOB_CURSOR: Final = _cursor("AQAAAAAAAABj")

# --- finding batches --------------------------------------------------------------------------

BATCH_STATUS: Final = choice(
    "status",
    "Only batches in this status.",
    "queued", "running", "cancelling", "completed", "cancelled",
)  # fmt: skip
OUTCOME: Final = choice(
    "outcome", "Only batches that came to this.", "succeeded", "partial", "failed", "cancelled"
)
NAME: Final = Parameter("name", "Only batches of this name.", {"type": "string"}, "nightly")
LABEL: Final = Parameter(
    "label",
    "Only batches with this label, as `name=value` or `name:value`; all of them if there are "
    "several.",
    {"type": "string", "pattern": "^[^=:]+[=:]"},
    "team=a",
    times=MAX_LABELS,
)
CREATED_AFTER: Final = Parameter(
    "created_after",
    "Only batches that were created later than this (RFC 3339).",
    {"type": "string", "format": "date-time"},
    "2026-01-31T12:00:00Z",
)
BATCH_FILTERS: Final = (BATCH_STATUS, OUTCOME, NAME, LABEL, CREATED_AFTER, LIMIT, BATCH_CURSOR)

# --- jobs and results -------------------------------------------------------------------------

JOB_STATUS: Final = choice(
    "status",
    "Only jobs in this status.",
    "queued", "running", "cancelling", "succeeded", "failed", "cancelled",
)  # fmt: skip
FORMAT: Final = choice("format", "Instead of the `Accept` header.", "json", "ndjson", "csv")
FOLLOWED_FORMAT: Final = choice("format", "What can be followed.", "ndjson")

# --- streams ----------------------------------------------------------------------------------

FOLLOW: Final = flag("follow", "Send what happens as it happens, until the end.")


def _after(description: str) -> Parameter:
    schema = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
    return Parameter("after", description, schema, 31)


AFTER_SEQ: Final = _after("With `follow`: go on behind this `seq`.")
AFTER_BYTES: Final = _after("Leave out so many bytes, which you have already.")
AFTER_ID: Final = _after("Go on behind the event of this id, where no header says so.")
LAST_EVENT_ID: Final = Parameter(
    "Last-Event-ID",
    "Go on behind the event of this id; browsers send it when they connect again.",
    {"type": "string", "pattern": "^[0-9]{0,15}$"},
    "31",
)

# --- the timeline -----------------------------------------------------------------------------

TIMELINE_FORMAT: Final = choice(
    "format", "As this service's own JSON, or for Perfetto.", "json", "chrome-trace"
)
TIMELINE_LIMIT: Final = Parameter(
    "limit",
    f"The attempts of at most so many jobs; {MOST_SPANS} without it. A page may hold fewer: only "
    "`next` tells whether there are more.",
    {"type": "integer", "minimum": 1, "maximum": MOST_SPANS},
    1000,
)

# --- submitting -------------------------------------------------------------------------------

_LEFT_OUT: Final = ("$ref", "title", "default")
DRY_RUN: Final = flag("dry_run", "Only check the batch: nothing is stored.")


def _option(model: type[BaseModel], name: str, example: Any) -> Parameter:
    """A field of the JSON body that is a query parameter where the body holds jobs only.

    Without its default: generated clients would send that, beside a JSON body too.
    """
    schema = model.model_json_schema()
    given = schema["properties"][name]
    given = given.get("anyOf", [given])[0]  # the other one is null, which a query can't say
    referred = schema.get("$defs", {}).get(given.get("$ref", "").rpartition("/")[2], {})
    kept = {n: v for n, v in {**given, **referred}.items() if n not in _LEFT_OUT}
    described = model.model_fields[name].description or kept.get("description", "")
    return Parameter(
        name, f"{described}. Not with a JSON body, which says it itself.", kept, example
    )


OPTIONS: Final = (
    _option(OptionsIn, "name", "nightly"),
    _option(OptionsIn, "executor", "pool"),
    _option(OptionsIn, "max_workers", 8),
    _option(OptionsIn, "lock", "line"),
    _option(OptionsIn, "priority", 0),
    _option(OptionsIn, "ttl_s", 3600),
)
DEFAULTS: Final = (_option(Defaults, "timeout_s", 30), _option(Defaults, "max_attempts", 3))
NEW_LABEL: Final = Parameter(
    "label",
    "A label of the batch, as `name=value`. Not with a JSON body, which has `labels`.",
    {"type": "string", "pattern": "^[^=]{1,100}=.{1,100}$"},
    "team=a",
    times=MAX_LABELS,
)
STREAM_OPTIONS: Final = (*OPTIONS, *DEFAULTS, NEW_LABEL)

# --- headers ----------------------------------------------------------------------------------

PREFER: Final = Parameter(
    "Prefer",
    "`wait=N`: like `?wait=N`, but cut to what is allowed and never an error (RFC 7240).",
    {"type": "string"},
    "wait=30",
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "Makes a repeat safe: the same key with the same request gets the first answer again.",
    {"type": "string", "pattern": f"^(?:{KEY_PATTERN})$"},
    '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
)
IF_NONE_MATCH: Final = Parameter(
    "If-None-Match",
    "The `ETag` of the answer before: 304 if nothing changed.",
    {"type": "string"},
    'W/"7"',
)
REQUEST_ID: Final = Parameter(
    "X-Request-Id",
    "A name for this request, which comes back and stands in logs; else one is made.",
    {"type": "string"},
    "c0ffee",
)

# --- paths ------------------------------------------------------------------------------------

_ID: Final = f"[0-9A-Za-z]{{{ID_CHARS}}}"

PATHS: Final = {
    "batch_id": Parameter(
        "batch_id", "A batch.", {"type": "string", "pattern": f"^{_ID}$"}, "07NC4gTqVd1FhRz2sKpW"
    ),
    "job_id": Parameter(
        "job_id",
        "A job: its batch's id, a dot, its index.",
        {"type": "string", "pattern": rf"^{_ID}\.(0|[1-9][0-9]{{0,7}})$"},
        "07NC4gTqVd1FhRz2sKpW.7",
    ),
    "asset": Parameter("asset", "Its path.", {"type": "string"}, "css/swagger-ui.css"),
}
