"""One request and its response: what libcurl asks and tells on the way.

libcurl calls ``open_socket``, ``connected`` and ``content``. An exception that left one of them
would be printed and lost, so they keep the failure here and stop the transfer by what they
return; ``Wire`` raises it afterwards. The lines of heads only gather, and are read when libcurl
comes back or hands over content: a page has ten of them, and each call into Python has to win
Python's lock.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import pycurl

from service.errors import JobFailed
from service.fetch.policy import FetchPolicy
from service.fetch.response import Head

STOP: Final = -1

# What libcurl was built to decode and what it is told to ask for.
CONTENT_CODINGS: Final = "gzip, deflate, br"
_USED: Final = {
    name.encode(): name
    for name in (
        "content-encoding",
        "content-length",
        "content-type",
        "location",
        "retry-after",
    )
}
_DECODED: Final = frozenset({"gzip", "x-gzip", "deflate", "br", "identity"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller can use of a response.

    ``media_types`` None means any; a response that names none is taken. Content over
    ``max_body_bytes`` (None: the policy's) is an error, or is cut there if ``cut``.
    """

    media_types: frozenset[str] | None = None
    max_body_bytes: int | None = None
    cut: bool = False


class Exchange:
    """The state of one hop. Used by one thread, thrown away after."""

    def __init__(
        self,
        policy: FetchPolicy,
        wanted: Wanted,
        stop: Callable[[], None],
        lines: list[bytes],
    ) -> None:
        """``lines``: where libcurl puts the lines of heads and trailers."""
        self._policy = policy
        self._wanted = wanted
        self._stop = stop
        self._lines = lines
        self._max_body = wanted.max_body_bytes or policy.max_body_bytes
        self._started = time.monotonic()
        self._dialled: float | None = None
        self._connected = False
        self._lines_read = 0
        self._header_bytes = 0
        self._fields: list[bytes] = []  # of the head that is being received
        self._body_bytes = 0
        self._chunks: list[bytes] = []
        self._opened: list[socket.socket] = []
        self.blocked: JobFailed | None = None  # an address of the host is forbidden
        self._head_ended = False
        self.head: Head | None = None
        self.resolved = False  # DNS has answered, or was not asked
        self.enough = False  # stopped on purpose: what is here is all that is wanted
        self.failure: JobFailed | None = None  # stopped on purpose: raise this

    @property
    def body(self) -> bytes:
        """The content so far, decoded."""
        return b"".join(self._chunks)

    def open_socket(self, purpose: int, address: pycurl.CurlSockAddr) -> socket.socket | int:
        """Every connection begins here, with the address that is really dialled."""
        del purpose
        self.resolved = True
        if self._dialled is None or self._connected:
            self._dialled, self._connected = time.monotonic(), False
        family, kind, protocol, where = address
        if family not in (socket.AF_INET, socket.AF_INET6) or not self._permits(*where[:2]):
            return int(pycurl.SOCKET_BAD)
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError:
            return int(pycurl.SOCKET_BAD)
        self._opened.append(opened)
        return opened

    def connected(self, address: str, _local: str, port: int, _local_port: int) -> int:
        """Connected, or found a connection to use again: look once more before asking."""
        self._connected = self.resolved = True
        if self._permits(address, port):
            return int(pycurl.PREREQFUNC_OK)
        self.failure = self.blocked
        return int(pycurl.PREREQFUNC_ABORT)

    def read_head(self) -> bool:
        """Read the lines that have come since the last time. False if that was enough."""
        fresh = self._lines[self._lines_read :]
        self._lines_read += len(fresh)
        self._header_bytes += sum(map(len, fresh))
        if self._header_bytes > self._policy.max_header_bytes:
            bound = self._policy.max_header_bytes
            self._fail("too_large", f"the headers are over {bound} bytes")
        elif not self._head_ended:
            self._read_lines(fresh)
        return self.failure is None and not self.enough

    def content(self, chunk: bytes) -> int | None:
        """A piece of content, decoded."""
        if not self._head_ended and not self.read_head():
            return STOP
        self._body_bytes += len(chunk)
        room = self._max_body - self._body_bytes
        if room >= 0:
            self._chunks.append(chunk)
            return None
        if self._wanted.cut:
            self._chunks.append(chunk[:room])
            self.enough = True
            return STOP
        return self._fail("too_large", f"the content is over {self._max_body} bytes")

    def look_around(self, wire_bytes: int) -> None:
        """Between libcurl's steps: raise if the job was stopped or a bound is passed."""
        self._stop()
        self.check_wire(wire_bytes)
        if self.patience_s() > 0:
            return
        if self._dialled is None:
            bound = self._policy.dns_s
            raise JobFailed("dns_error", f"DNS took longer than {bound:g} s", retryable=True)
        bound = self._policy.connect_s
        raise JobFailed("timeout", f"connecting took longer than {bound:g} s", retryable=True)

    def patience_s(self) -> float:
        """Seconds until DNS or connecting has taken too long; infinite once connected."""
        if self._connected:
            return float("inf")
        if self._dialled is None:
            return self._started + self._policy.dns_s - time.monotonic()
        return self._dialled + self._policy.connect_s - time.monotonic()

    def check_wire(self, wire_bytes: int) -> None:
        """Raise if the content is larger, as it is sent, than it may be."""
        if wire_bytes > self._policy.max_wire_bytes and not self.enough:
            raise self._too_much_wire()

    def close_sockets(self) -> None:
        """Give up our ends of the sockets: libcurl took duplicates of them."""
        for opened in self._opened:
            opened.close()
        self._opened.clear()

    def _permits(self, address: str | bytes, port: int) -> bool:
        addresses = self._policy.addresses
        text = address.decode("ascii") if isinstance(address, bytes) else address
        if addresses.permits_target(text, port):
            return True
        detail = "the host's address or port is not one that may be reached"
        self.blocked = JobFailed("blocked_target", detail)
        return False

    def _read_lines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if line.startswith(b"HTTP/"):
                self._begin_head(line)
            elif line not in (b"\r\n", b"\n"):
                self._fields.append(line)
            elif self.head and self.head.status_code >= 200:
                self._head_ended = True  # what follows are trailers
                self.head.fields.extend(_used_fields(self._fields))
                self._judge(self.head)
                return

    def _begin_head(self, line: bytes) -> None:
        words = line.split(None, 2)
        if len(words) < 2 or not words[1].isdigit():
            self._fail("bad_response", "the answer's status line is not valid")
            return
        self.head = Head(int(words[1][:3]))
        self._fields.clear()

    def _judge(self, head: Head) -> None:
        """Decide by the head whether the content is worth reading."""
        if not head.is_success:
            # Bodies of redirects and errors are not read. Stopping costs the connection, so
            # an empty body is allowed to end by itself.
            self.enough = head.get("content-length") != "0"
            return
        if not _DECODED.issuperset(head.all("content-encoding")):
            self._fail("unsupported_encoding", "the content's encoding is not supported")
        media_type, types = head.media_type, self._wanted.media_types
        if types is not None and media_type is not None and media_type not in types:
            self._fail("unsupported_type", f"{_shown(media_type)} is not supported")
        if head.content_length > self._policy.max_wire_bytes and not self._wanted.cut:
            self.failure = self.failure or self._too_much_wire()

    def _too_much_wire(self) -> JobFailed:
        bound = self._policy.max_wire_bytes
        return JobFailed("too_large", f"the content is over {bound} bytes as it is sent")

    def _fail(self, code: str, detail: str) -> int:
        self.failure = self.failure or JobFailed(code, detail)
        return STOP


def _used_fields(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(b":")
        used = _USED.get(name.strip().lower())
        if used and colon:
            yield used, _text(value)


def _text(value: bytes) -> str:
    """Fields are ASCII; where servers send more it is UTF-8, or it is old (RFC 9110 5.5)."""
    stripped = value.strip()
    try:
        return stripped.decode("utf-8")
    except UnicodeDecodeError:
        return stripped.decode("latin-1")


def _shown(media_type: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in media_type[:80])
