"""Streams that are followed until the batch has ended, through cuts and restarts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

from service.client.errors import (
    ConnectionFailed,
    JobspoolClientError,
    ProblemError,
    StreamCut,
    StreamSilent,
)
from service.client.problem import shaped
from service.client.results import NDJSON, json_lines
from service.client.shapes import Result
from service.client.transport import Ask, Transport, may_pass, pause_after

T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class ResultStream:
    """Results in the order of completion, behind the seq ``after``."""

    def __init__(self, transport: Transport, path: str, after: int | None) -> None:
        self._transport = transport
        self._path = f"{path}/results"
        self._after = after

    def attempt(self) -> Generator[Result, None, None]:
        """From where the last attempt was cut, to the end line. Raises StreamCut."""
        ask = _following(self._path, self._after)
        with closing(self._transport.chunks(ask, NDJSON, once=True)) as chunks:
            for raw in json_lines(chunks):
                if _is_end(raw):
                    return
                result = shaped(Result.of, raw)
                if self._after is None or result.seq is None or result.seq > self._after:
                    self._after = result.seq
                    yield result
        raise StreamCut(f"{self._path}: the stream has no end line")


class ConsoleStream:
    """What the jobs of a batch print, as UTF-8."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = f"{path}/console"
        self._bytes = 0

    def attempt(self) -> Generator[bytes, None, None]:
        """From where the last attempt was cut, to the proper end of the answer."""
        ask = _following(self._path, self._bytes or None)
        with closing(self._transport.chunks(ask, "text/plain", once=True)) as chunks:
            for chunk in chunks:
                self._bytes += len(chunk)
                yield chunk


def resumed(
    attempt: Callable[[], Generator[T, None, None]], reconnect_s: float
) -> Generator[T, None, None]:
    """What the attempts give, one taking up where the other was cut, until one ends well.

    Raises the last failure when for ``reconnect_s`` no attempt gave anything, and at once what
    will not pass.
    """
    patience = Patience(reconnect_s)
    while True:
        try:
            with closing(attempt()) as items:
                for item in items:
                    patience.renew()
                    yield item
        except StreamSilent:
            patience.renew()  # nothing happened in a while: no failure of the service
        except (ConnectionFailed, ProblemError) as failure:
            patience.bear(failure)
        else:
            return


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


def _following(path: str, after: int | None) -> Ask:
    params = [("follow", "true")]
    if after is not None:
        params.append(("after", str(after)))
    return Ask("GET", path, params, headers={"Accept-Encoding": "identity"})


def _is_end(raw: Any) -> bool:
    """The last line, which can't be taken for a job's, whatever types of jobs there are."""
    return raw.get("type") == "end" and "job_id" not in raw
