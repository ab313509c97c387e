"""A request as the bytes that go over the wire, and what is read of an answer."""

from __future__ import annotations

import re
from typing import NamedTuple

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


def request(method: str, path: str, body: str = "") -> bytes:
    """One that keeps the connection."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n"
    return f"{head}\r\n{body}".encode()


class Answer(NamedTuple):
    status: int
    closes: bool
    body: bytes


def answer_in(received: bytes) -> Answer | None:
    """The answer, once all of it is there. It must have a Content-Length."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[: end + 2]
    length = LENGTH.search(head)
    assert length, head
    body = received[end + 4 :]
    if len(body) < int(length[1]):
        return None
    return Answer(int(head[9:12]), CLOSES.search(head) is not None, body)
