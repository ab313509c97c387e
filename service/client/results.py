"""Results as a stream of JSON lines, in submission order."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from service.client.errors import ProblemError, StreamCut
from service.client.problem import NOT_JOBSPOOL, shaped
from service.client.shapes import Result
from service.client.transport import Ask, Transport

NDJSON = "application/x-ndjson"


def exported(transport: Transport, path: str, total: int) -> Generator[Result, None, None]:
    """Every job of the batch, in submission order.

    The number of lines is checked as well as the stream's end: a proxy that speaks HTTP/1.0 to
    the service makes a good end of a bad one. Raises StreamCut.
    """
    ask = Ask("GET", f"{path}/results", params=[("format", "ndjson")])
    count = 0
    with closing(transport.chunks(ask, NDJSON)) as chunks:
        for raw in json_lines(chunks):
            count += 1
            yield shaped(Result.of, raw)
    if count != total:
        raise StreamCut(f"{path}/results: {count} lines came of {total}")


def json_lines(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The JSON objects of an NDJSON stream; blank lines are passed over.

    A last line without its end is passed over too: who reads these knows by other means how
    many there should be. Raises ProblemError for a line that is no JSON object.
    """
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(_object, filter(None, whole))


def _object(line: bytes) -> Any:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raw = None
    if isinstance(raw, dict):
        return raw
    raise ProblemError(200, NOT_JOBSPOOL, f"a line that is not a JSON object: {line[:80]!r}")
