"""Results as a stream: whole, or followed through cuts and restarts."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from service.client.errors import (
    ConnectionFailed,
    JobspoolClientError,
    ProblemError,
    StreamCut,
    StreamSilent,
)
from service.client.problem import NOT_JOBSPOOL, shaped
from service.client.shapes import Result
from service.client.transport import Ask, Transport, may_pass, pause_after

NDJSON = "application/x-ndjson"
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


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


def followed(
    transport: Transport, path: str, after: int | None, reconnect_s: float
) -> Generator[Result, None, None]:
    """Results in the order of completion, each once, until the batch has ended.

    A stream that is cut is taken up behind the last line that came. Raises the last failure
    when for ``reconnect_s`` none of the attempts brought a line, and at once what will not pass.
    """
    patience = Patience(reconnect_s)
    while True:
        failure: JobspoolClientError = StreamCut(f"{path}/results: the stream has no end line")
        try:
            with closing(transport.chunks(_from(path, after), NDJSON, once=True)) as chunks:
                for raw in json_lines(chunks):
                    patience.renew()
                    if _is_end(raw):
                        return
                    result = shaped(Result.of, raw)
                    if after is None or result.seq is None or result.seq > after:
                        yield result
                        after = result.seq
        except StreamSilent:
            patience.renew()  # nothing ended in a while: no failure of the service
            continue
        except (ConnectionFailed, ProblemError) as error:
            failure = error
        patience.bear(failure)


def _from(path: str, after: int | None) -> Ask:
    params = [("follow", "true")]
    if after is not None:
        params.append(("after", str(after)))
    return Ask("GET", f"{path}/results", params, headers={"Accept-Encoding": "identity"})


def _is_end(raw: Any) -> bool:
    """The last line, which can't be taken for a job's, whatever types of jobs there are."""
    return raw.get("type") == "end" and "job_id" not in raw


class Patience:
    """Pauses between attempts, growing, until it has lasted ``most_s`` without a success."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self.renew()

    def renew(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        self._until: float | None = None

    def bear(self, failure: JobspoolClientError) -> None:
        """Pause before the next attempt. Raises the failure if there is to be none."""
        now = time.monotonic()
        self._until = self._until or now + self._most_s
        pause_s = pause_after(failure, self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311
        if not may_pass(failure) or now + pause_s > self._until:
            raise failure
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        time.sleep(pause_s)


def json_lines(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The JSON objects of an NDJSON stream; blank lines are passed over.

    Raises StreamCut for a line without its end, ProblemError for one that is no JSON object.
    """
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(_object, filter(None, whole))
    if rest.strip():
        raise StreamCut("the last line of the stream is not whole")


def _object(line: bytes) -> Any:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raw = None
    if isinstance(raw, dict):
        return raw
    raise ProblemError(200, NOT_JOBSPOOL, f"a line that is not a JSON object: {line[:80]!r}")
