"""A small web site on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType


class Site:
    """``pages`` by path; None is a 404. There is no robots.txt unless a test makes one.

    ``arrivals`` are the moments (monotonic) at which pages were asked for; each takes
    ``delay_s`` to answer. ``most_at_once`` is how many were being answered at a time.
    """

    def __init__(self, address: str = "127.0.0.1", port: int = 0, delay_s: float = 0.0) -> None:
        self.pages: dict[str, str | None] = {}
        self.headers: dict[str, tuple[int, dict[str, str]]] = {}
        self.delay_s = delay_s
        self.arrivals: list[float] = []
        self.most_at_once = 0
        self._now = 0  # being answered; guarded by _lock, as the two above
        self._lock = Lock()
        self._server = ThreadingHTTPServer((address, port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{address}:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def _answering(self, path: str) -> Iterator[None]:
        if path == "/robots.txt":
            yield
            return
        with self._lock:
            self.arrivals.append(monotonic())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        Event().wait(self.delay_s)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True  # the visitor was killed, perhaps

            def do_GET(self) -> None:
                with site._answering(self.path):
                    self._answer()

            def _answer(self) -> None:
                page = site.pages.get(self.path)
                body = (page or "not here").encode()
                usual = (200 if page is not None else 404, dict[str, str]())
                status, headers = site.headers.get(self.path, usual)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
