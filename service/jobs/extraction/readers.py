"""Pages are read in processes of their own: see ``reader`` for why."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Final, NamedTuple

import orjson

from service.cores import Cores
from service.errors import JobFailed
from service.jobs.contract import JobContext
from service.jobs.extraction import channel
from service.jobs.extraction.extract import Request

FLOOR_S: Final = 0.5
S_PER_BYTE: Final = 1e-6

LOOK_S: Final = 0.25
"""How often a job that waits for a reader looks whether it was told to stop."""

PATIENCE: Final = 20
"""Times its CPU limit that a page may take by the clock: the machine may be busy."""

_SEND_S: Final = 10


class Reading(NamedTuple):
    """What was read out of a page, as a JSON object, and the encoding it was read with."""

    page: str
    title: str | None
    charset: str


class ReaderDiedError(Exception):
    """The reader's process has ended, or does not answer."""


class PageReaders:
    """Reads pages on up to ``most`` cores at once. For use from any number of threads.

    Starts nothing: a reader's process is started when a page waits for one, and kept.
    """

    def __init__(self, most: int, cores: Cores | None = None) -> None:
        self._cores = cores or Cores()
        self._closed = False  # set by close, read by job threads; guarded by _lock
        self._lock = Lock()
        self._turns: SimpleQueue[None] = SimpleQueue()  # one for each page that may be read now
        for _ in range(most):
            self._turns.put(None)
        # job threads take and give back; the last one used is warm, and comes first; guarded by
        # _lock
        self._idle: list[_Reader] = []

    def read(
        self,
        body: bytes,
        content_type: str | None,
        url: str,
        request: Request,
        ctx: JobContext,
    ) -> Reading:
        """Read a page for a job. ``ctx.check`` is asked all the while, and may raise.

        Raises JobFailed ``parse_budget`` if the page takes more CPU than max(0.5 s, 1 s a MB), or
        more memory than a reader has.
        """
        cpu_s = max(FLOOR_S, len(body) * S_PER_BYTE)
        asked = orjson.dumps(
            {
                "url": url,
                "content_type": content_type,
                "include": request.include,
                "parser": request.parser,
                "select": {name: tuple(pick) for name, pick in request.select.items()},
                "cpu_s": cpu_s,
            }
        )
        while (found := self._asked(asked, body, cpu_s, ctx)) is None:
            pass
        answer, page = found
        ctx.charge_cpu(answer["cpu_s"])
        if "over_budget" in answer:
            detail = (
                f"reading the page takes more than {cpu_s:.1f} s of CPU time, or too much memory"
            )
            raise JobFailed("parse_budget", detail)
        if "raised" in answer:
            raise RuntimeError(answer["raised"])
        return Reading(page.decode(), answer["title"], answer["charset"])

    def _asked(
        self, asked: bytes, body: bytes, cpu_s: float, ctx: JobContext
    ) -> tuple[dict[str, Any], bytes] | None:
        """A reader's answer; None if it may not have been the page that the reader died of."""
        reader = self._take(ctx.check)
        fresh = reader.answered == 0
        try:
            return reader.answer(asked, body, cpu_s * PATIENCE, ctx.check)
        except ReaderDiedError:
            spent = reader.end() == -signal.SIGPROF
            return ({"over_budget": True, "cpu_s": cpu_s}, b"") if spent or fresh else None
        except BaseException:
            reader.end()
            raise
        finally:
            self._give_back(reader)

    def close(self) -> None:
        """End the readers; one in use ends with its page. Safe twice."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.end()

    def _take(self, check: Callable[[], None]) -> _Reader:
        """A reader, in our turn. It may have died since it was last asked."""
        while True:
            check()
            try:
                self._turns.get(timeout=LOOK_S)
                break
            except Empty:
                pass
        with self._lock:
            reader = self._idle.pop() if self._idle else None
        try:
            return reader or _Reader(self._cores)
        except BaseException:
            self._turns.put(None)
            raise

    def _give_back(self, reader: _Reader) -> None:
        with self._lock:
            keep = not (reader.ended or self._closed)
            if keep:
                self._idle.append(reader)
        if not keep:
            reader.end()
        self._turns.put(None)


class _Reader:
    """One process that reads pages. Used by one thread at a time."""

    def __init__(self, cores: Cores) -> None:
        mine, theirs = socket.socketpair()
        with theirs, cores.all_for_a_child():
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "service.jobs.extraction.reader", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # what is found by name is found as here, and no setting or secret goes along
                env={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
                cwd="/",
            )
        # a reader that was stopped must not hold a thread for good
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(_SEND_S))
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(LOOK_S))
        self._connection = mine
        self.answered = 0
        self.ended = False

    def answer(
        self, asked: bytes, body: bytes, patience_s: float, check: Callable[[], None]
    ) -> tuple[dict[str, Any], bytes]:
        """Raises ReaderDiedError, and what ``check`` raises; it must be ended then."""
        until = time.monotonic() + patience_s

        def look_around() -> None:
            check()
            if time.monotonic() > until:
                raise ReaderDiedError

        try:
            channel.send(self._connection, asked, body)
            answer, page = channel.receive(self._connection, look_around)
        except (EOFError, OSError):
            raise ReaderDiedError from None
        told: dict[str, Any] = orjson.loads(answer)
        self.answered += 1
        if told["leaving"]:
            self.end()
        return told, page

    def end(self) -> int:
        """End the process, whatever it is doing; how it ended. Safe twice."""
        self.ended = True
        self._connection.close()
        self._process.kill()
        return self._process.wait()


def _timeval(seconds: float) -> bytes:
    """What the kernel takes for a socket's timeout."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
