"""Messages of two parts, between the service and a process that reads pages.

One question, one answer: there is never more than one message under way. Each takes one call of
the kernel on either side, since a thread that comes back from one has to queue for the GIL.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Final

MOST_BYTES: Final = 64 << 20
"""Of a message. Far more than any page, or what is read of it: who says more is out of its mind."""

_LENGTHS: Final = struct.Struct("!II")
_AT_ONCE: Final = 64 << 10


def never() -> None:
    """For those who wait as long as it takes."""


def send(connection: socket.socket, head: bytes, body: bytes) -> None:
    """Send a message. Raises OSError."""
    parts = (_LENGTHS.pack(len(head), len(body)), head, body)
    left = sum(map(len, parts)) - connection.sendmsg(parts)
    if left:  # it is more than the socket takes at once
        connection.sendall(b"".join(parts)[-left:])


def receive(connection: socket.socket, waiting: Callable[[], None] = never) -> tuple[bytes, bytes]:
    """The next message.

    ``waiting`` is called whenever the connection's own timeout has passed, and may raise.
    Raises EOFError if there is no next message, OSError.
    """
    message = _some(connection, _AT_ONCE, waiting)
    while len(message) < _LENGTHS.size:
        message += _some(connection, _AT_ONCE, waiting)
    of_head, of_body = _LENGTHS.unpack_from(message)
    whole = _LENGTHS.size + of_head + of_body
    if whole > MOST_BYTES:
        raise EOFError
    if len(message) < whole:
        message = _completed(connection, message, whole, waiting)
    body = _LENGTHS.size + of_head
    return message[_LENGTHS.size : body], message[body:]


def _completed(
    connection: socket.socket, begun: bytes, whole: int, waiting: Callable[[], None]
) -> bytes:
    parts, left = [begun], whole - len(begun)
    while left > 0:
        parts.append(_some(connection, left, waiting))
        left -= len(parts[-1])
    return b"".join(parts)


def _some(connection: socket.socket, most: int, waiting: Callable[[], None]) -> bytes:
    while True:
        try:
            some = connection.recv(most)
        except BlockingIOError:
            waiting()
            continue
        if not some:
            raise EOFError
        return some
