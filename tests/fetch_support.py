"""A web server that says exactly what a test tells it to, bytes and pauses included."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from service.fetch.address import AddressPolicy
from service.fetch.address_text import parse_cidrs, parse_ports
from service.fetch.client import GuardedClient
from service.fetch.policy import FetchPolicy

HTML = b"<html><head><title>Hello</title></head><body><p>Hi.</p></body></html>"


def loopback_policy(allow: str = "127.0.0.1/32", **bounds: object) -> FetchPolicy:
    """The default bounds but for ``bounds``, and permission to reach the test servers."""
    addresses = AddressPolicy(allow_cidrs=parse_cidrs(allow), ports=parse_ports("1-65535"))
    return FetchPolicy(addresses=addresses, **bounds)  # type: ignore[arg-type]


def answer(body: bytes = HTML, status: str = "200 OK", *fields: str) -> bytes:
    """A whole HTTP/1.1 response; a Content-Type of HTML unless the fields name one."""
    if not any(field.lower().startswith("content-type:") for field in fields):
        fields = ("Content-Type: text/html", *fields)
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """A redirect with a body that nobody should read."""
    return answer(b"moved", status, f"Location: {location}")


class Visit:
    """One request to a server, for its script to answer."""

    def __init__(self, connection: socket.socket, request: bytes, closing: Event) -> None:
        self._connection = connection
        self._closing = closing
        self.request = request
        self.path = request.split(b" ", 2)[1].decode("latin-1")
        self.keep_open = False  # set it to serve another request on the connection

    def header(self, name: str) -> str | None:
        """A header's value as the client sent it."""
        for line in self.request.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return None

    def send(self, data: bytes) -> None:
        """Send as is. Raises OSError once the client has gone."""
        self._connection.sendall(data)

    def drip(self, piece: bytes, every_s: float = 0.05) -> None:
        """Send a piece again and again until the client goes or the server closes."""
        while not self._closing.wait(every_s):
            self.send(piece)

    def hold(self) -> None:
        """Say nothing more until the server closes."""
        self._closing.wait()


Script = Callable[[Visit], None]


class HostileServer:
    """Listens on a loopback address; each connection has a thread that runs the script."""

    def __init__(
        self, script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._script = script
        self._tls = tls
        self._closing = Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._lock = Lock()
        self._open: set[socket.socket] = set()  # all threads; guarded by _lock
        self._threads = [Thread(target=self._accept)]
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0  # written by the accepting thread, read by the test
        self.visits: list[Visit] = []  # appended by the serving threads, read by the test

    def url(self, path: str = "/", host: str | None = None) -> str:
        """Where to find the server."""
        scheme = "https" if self._tls else "http"
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._wake_accept()
        self._threads[0].join(10)
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in self._threads[1:]:
            thread.join(10)
        self._listener.close()

    def _wake_accept(self) -> None:
        try:
            socket.create_connection((self.host, self.port), 5).close()
        except OSError:
            pass

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            self.connections += 1
            thread = Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.add(connection)
            while self._visit(connection):
                pass
        except OSError:
            pass  # the client went away, which most of these tests want it to
        finally:
            with self._lock:
                self._open = {one for one in self._open if one.fileno() != connection.fileno()}
            connection.close()

    def _visit(self, connection: socket.socket) -> bool:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(65536)
            if not data:
                return False
            request += data
        visit = Visit(connection, request, self._closing)
        self.visits.append(visit)
        self._script(visit)
        return visit.keep_open and not self._closing.is_set()


Serve = Callable[..., HostileServer]  # the fixture: serve(script, host=..., tls=...)
Connect = Callable[..., GuardedClient]  # the fixture: connect(policy) or connect(**bounds)
