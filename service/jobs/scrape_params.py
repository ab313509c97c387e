"""What a client may ask of a scrape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from service.errors import JobFailed
from service.fetch.url import parse_url
from service.jobs.contract import Params
from service.jobs.extraction.extract import Parser, Part
from service.jobs.extraction.selection import Pick
from service.jobs.extraction.selectors import MAX_SELECTORS, Css, Selector

MAX_PARTS: Final = 20
MAX_HEADERS: Final = 50
MAX_HEADER_CHARS: Final = 4_096
DEFAULT_PARTS: Final[tuple[Part, ...]] = ("title", "meta", "links", "headings")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")  # printable ASCII, no blanks at the ends

# The client's own: framing and routing, what it decodes, and who it says it is.
_NOT_FOR_JOBS: Final = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "forwarded", "host",
        "http2-settings", "keep-alive", "range", "te", "trailer", "transfer-encoding", "upgrade",
        "user-agent", "via",
    }
)  # fmt: skip
_NOT_FOR_JOBS_PREFIXES: Final = ("proxy-", "sec-", "x-forwarded-", ":")


def _fetchable(url: str) -> str:
    try:
        parse_url(url)
    except JobFailed as error:
        raise ValueError(error.detail) from None
    return url


def _at_most(most: int) -> BeforeValidator:
    """Looks before the items are: each that is wrong costs a kilobyte, and there may be millions
    (``max_length`` alone counts last, and is for the schema)."""

    def counted(value: Any) -> Any:
        if isinstance(value, dict | list) and len(value) > most:
            raise ValueError(f"must have at most {most} items")
        return value

    return BeforeValidator(counted)


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    names = [name.lower() for name in headers]
    if len(set(names)) < len(names):
        raise ValueError("a header is named twice")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError("a header's name is not a token of RFC 9110")
        if name.lower() in _NOT_FOR_JOBS or name.lower().startswith(_NOT_FOR_JOBS_PREFIXES):
            raise ValueError(f"the header {name} is not for jobs to set")
        if len(value) > MAX_HEADER_CHARS or not _VALUE.fullmatch(value):
            raise ValueError(
                f"the value of {name} must be at most {MAX_HEADER_CHARS} printable ASCII characters"
            )
    return headers


def _named_by_pattern(schema: dict[str, Any]) -> None:
    """JSON Schema's patternProperties says nothing of other names, and few tools know it."""
    ((pattern, value),) = schema.pop("patternProperties").items()
    schema.update(propertyNames={"pattern": pattern}, additionalProperties=value)


SelectorName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]


class ScrapeParams(Params):
    """One page to fetch, and what to read out of it."""

    url: Annotated[
        str,
        Field(
            min_length=1,
            description="http or https, at most 8 KiB, without user name and password.",
        ),
        AfterValidator(_fetchable),
    ]
    include: Annotated[list[Part], _at_most(MAX_PARTS)] = Field(
        default=list(DEFAULT_PARTS),
        max_length=MAX_PARTS,
        description="The parts of the result that are read; text is the whole page's text.",
    )
    parser: Parser = "lexbor"
    select: Annotated[dict[SelectorName, Css | Selector], _at_most(MAX_SELECTORS)] = Field(
        default={},
        max_length=MAX_SELECTORS,
        json_schema_extra=_named_by_pattern,
        description="CSS selectors by the name that their matches get in the result.",
    )
    headers: Annotated[dict[str, str], _at_most(MAX_HEADERS), AfterValidator(_sendable)] = Field(
        default={},
        max_length=MAX_HEADERS,
        description="Sent with the request, and to no other origin when that redirects.",
    )
    respect_robots: bool = True


def picks(select: Mapping[str, str | Selector]) -> dict[str, Pick]:
    """Every selector in its long form."""
    return {
        name: Pick(value) if isinstance(value, str) else Pick(value.css, value.attr, value.all)
        for name, value in select.items()
    }
