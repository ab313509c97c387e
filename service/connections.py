"""Clients that send or read slowly: waited for, but not by all threads and not for ever.

A request thread waits for its client in three places: while the headers come, while the body
comes, and while the client reads the answer. Without a bound, as many slow clients as there are
threads stop a worker; gunicorn's own timeout watches its main loop, which beats on meanwhile.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
from collections.abc import Callable
from threading import BoundedSemaphore
from time import monotonic
from typing import Any, TypeVar

from gunicorn.http.errors import ParseException

MIN_BYTES_S = 16_384
"""A client that moves so much a second is not slow, unless all of it takes ``timeout_s``."""

HURRY_S = 1.0
"""Every client may be so late. Only as many as a quarter of the threads may be later."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Patience:
    """How long the clients of one process are waited for."""

    def __init__(self, timeout_s: float, threads: int) -> None:
        self.timeout_s = timeout_s
        self.slow_places = BoundedSemaphore(max(1, threads // 4))


class PacedSocket(socket.socket):
    """A client's socket that knows how late its client is.

    Waiting makes a client later, each byte moved makes up for its time at MIN_BYTES_S (but not
    in advance: what the kernel takes at once says nothing of a client that does not read).
    One that is ``timeout_s`` late is cut off: reading then sees the end, as if it had gone, and
    writing a broken pipe. Used by one thread at a time, between ``begin`` and ``end``.
    """

    def __init__(self, taken: socket.socket, patience: Patience) -> None:
        super().__init__(taken.family, taken.type, taken.proto, fileno=taken.detach())
        self._patience = patience
        self._waited_s = self._late_s = 0.0
        self._slow = False
        self._cut = False

    def begin(self) -> None:
        self._waited_s = self._late_s = 0.0

    def end(self) -> None:
        if self._slow:
            self._slow = False
            self._patience.slow_places.release()

    def rest(self) -> None:
        """Between two pieces of a stream: the client owes nothing, however long it has lasted."""
        self.end()
        self.begin()

    def recv(self, size: int, flags: int = 0) -> bytes:
        # what is buffered may be read after a cut as well, but is of no more use
        data = b"" if self._cut else self._paced(lambda: super(PacedSocket, self).recv(size, flags))
        self._make_up(len(data or b""))
        return data or b""

    def sendall(self, data: Any, flags: int = 0) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            part = rest
            sent = None if self._cut else self._paced(lambda: self.send(part, flags))  # noqa: B023
            if sent is None:
                raise BrokenPipeError(errno.EPIPE, "the client reads too slowly")
            self._make_up(sent)
            rest = rest[sent:]

    def _paced(self, move: Callable[[], T]) -> T | None:
        """Do it within the time left; None if there is none."""
        asked = self.gettimeout()
        if asked == 0:
            return move()
        until = None if asked is None else monotonic() + asked
        try:
            while (left := self._left_s()) > 0:
                begun = monotonic()
                self.settimeout(left if until is None else max(0.001, min(left, until - begun)))
                try:
                    return move()
                except TimeoutError:
                    if until is not None and monotonic() >= until:
                        raise
                finally:
                    self._wait(monotonic() - begun)
            self._cut = True
            log.info("a slow client was cut off", extra={"waited_s": round(self._waited_s, 1)})
            return None
        finally:
            self.settimeout(asked)

    def _wait(self, seconds: float) -> None:
        self._waited_s += seconds
        self._late_s += seconds

    def _make_up(self, moved: int) -> None:
        self._late_s = max(0.0, self._late_s - moved / MIN_BYTES_S)

    def _left_s(self) -> float:
        """How long to wait now, before it is time to look again."""
        timeout_s = self._patience.timeout_s
        if not self._slow:
            left = min(HURRY_S - self._late_s, timeout_s - self._waited_s)
            if left > 0:
                return left
            self._slow = self._patience.slow_places.acquire(blocking=False)
        return timeout_s - self._late_s if self._slow else 0.0


class Audience:
    """The client of a stream. It may be silent and the stream idle for as long as it likes; that
    it has gone shows at once if it hung up, and within half a minute if its machine is gone."""

    # what it does when a client sends nothing: ask after 15 s, then every 5 s, three times
    KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ends = select.poll()
        # POLLRDHUP is Linux's; errors and full hangups are reported anyway
        self._ends.register(connection, getattr(select, "POLLRDHUP", 0))
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in self.KEEPALIVE:
                if hasattr(socket, name):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def check(self) -> None:
        """To be called between two pieces. Raises ConnectionResetError if the client has gone."""
        if self._ends.poll(0):
            raise ConnectionResetError(errno.ECONNRESET, "the client has gone")
        if isinstance(self._connection, PacedSocket):
            self._connection.rest()


class ChunkReader:
    """gunicorn's reader of chunked bodies; what is wrong with a chunk is an OSError here, as a
    body that ends early is."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._reader.read(size)
        except ParseException as error:
            raise OSError(errno.EBADMSG, str(error)) from error
        return data
