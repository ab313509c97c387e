"""Pages are read in processes of their own: see ``reader`` for why."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty, LifoQueue
from threading import Lock
from typing import Any, Final, NamedTuple

from service.errors import JobFailed
from service.jobs.contract import JobContext
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

    def __init__(self, most: int) -> None:
        self._closed = False  # set by close, read by job threads; guarded by _lock
        self._lock = Lock()
        # a place for each; the last one used is warm, and comes first
        self._places: LifoQueue[_Reader | None] = LifoQueue()
        for _ in range(most):
            self._places.put(None)

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
        asked = json.dumps(
            {**request._asdict(), "url": url, "content_type": content_type, "cpu_s": cpu_s}
        ).encode()
        while (answer := self._asked(asked, body, cpu_s, ctx)) is None:
            pass
        ctx.charge_cpu(answer["cpu_s"])
        if "over_budget" in answer:
            detail = (
                f"reading the page takes more than {cpu_s:.1f} s of CPU time, or too much memory"
            )
            raise JobFailed("parse_budget", detail)
        if "raised" in answer:
            raise RuntimeError(answer["raised"])
        return Reading(answer["page"], answer["title"], answer["charset"])

    def _asked(
        self, asked: bytes, body: bytes, cpu_s: float, ctx: JobContext
    ) -> dict[str, Any] | None:
        """A reader's answer; None if it may not have been the page that the reader died of."""
        reader = self._take(ctx.check)
        fresh = reader.answered == 0
        try:
            return reader.answer(asked, body, cpu_s * PATIENCE, ctx.check)
        except ReaderDiedError:
            spent = reader.end() == -signal.SIGPROF
            return {"over_budget": True, "cpu_s": cpu_s} if spent or fresh else None
        except BaseException:
            reader.end()
            raise
        finally:
            self._give_back(reader)

    def close(self) -> None:
        """End the readers; one in use ends with its page. Safe twice."""
        with self._lock:
            self._closed = True
        places = []
        while not self._places.empty():
            try:
                places.append(self._places.get_nowait())
            except Empty:
                break
        for place in places:
            if place:
                place.end()
            self._places.put(None)

    def _take(self, check: Callable[[], None]) -> _Reader:
        """A reader that is alive."""
        while True:
            check()
            try:
                reader = self._places.get(timeout=LOOK_S)
                break
            except Empty:
                pass
        if reader and reader.alive():
            return reader
        if reader:
            reader.end()
        try:
            return _Reader()
        except BaseException:
            self._places.put(None)
            raise

    def _give_back(self, reader: _Reader) -> None:
        with self._lock:
            if self._closed:
                reader.end()
            self._places.put(None if reader.ended else reader)


class _Reader:
    """One process that reads pages. Used by one thread at a time."""

    def __init__(self) -> None:
        mine, theirs = socket.socketpair()
        with theirs:
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
        patience = struct.pack("ll", _SEND_S, 0)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self._connection = Connection(mine.detach())
        self.answered = 0
        self.ended = False

    def alive(self) -> bool:
        return self._process.poll() is None

    def answer(
        self, asked: bytes, body: bytes, patience_s: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """Raises ReaderDiedError, and what ``check`` raises; it must be ended then."""
        try:
            self._connection.send_bytes(asked)
            self._connection.send_bytes(body)
            self._wait(time.monotonic() + patience_s, check)
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes())
            answer["page"] = self._connection.recv_bytes().decode()
        except (EOFError, OSError):
            raise ReaderDiedError from None
        self.answered += 1
        if answer["leaving"]:
            self.end()
        return answer

    def _wait(self, until: float, check: Callable[[], None]) -> None:
        while not self._connection.poll(LOOK_S):
            check()
            if time.monotonic() > until:
                raise ReaderDiedError

    def end(self) -> int:
        """End the process, whatever it is doing; how it ended. Safe twice."""
        self.ended = True
        self._connection.close()
        self._process.kill()
        return self._process.wait()
