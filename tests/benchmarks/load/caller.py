"""One client that asks, waits for the answer, and asks again."""

from __future__ import annotations

import socket
from types import TracebackType

from tests.benchmarks.load.request import Answer, answer_in

TIMEOUT_S = 60


class Caller:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._socket = self._connected()

    def ask(self, request: bytes) -> Answer:
        self._socket.sendall(request)
        received = b""
        while (answer := answer_in(received)) is None:
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise ConnectionError("the connection was closed in the middle of an answer")
            received += piece
        if answer.closes:
            self._socket.close()
            self._socket = self._connected()
        return answer

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
