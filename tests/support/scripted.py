"""A service that answers as a test tells it to: also badly, halfway, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from service.client import Client


class Asked(NamedTuple):
    """A request that came in, with its body read to the end."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    """An answer is a function of this."""

    protocol_version = "HTTP/1.1"
    asked: Asked
    over: Event
    """Set when the test is: for answers that never come."""

    def log_message(self, *_: Any) -> None:
        pass

    def cut(self) -> None:
        self.close_connection = True

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


Answer = Callable[[Handler], None]


def reply(
    status: int = 200,
    value: Any = None,
    *,
    kind: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Answer:
    """A whole answer; text and bytes go out as they are, the rest as JSON."""
    text = value if isinstance(value, bytes | str) else json.dumps(value)
    body = text.encode() if isinstance(text, str) else text

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, content in {"Content-Type": kind, **(headers or {})}.items():
            handler.send_header(name, content)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def problem(status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> Answer:
    body = {"status": status, "code": code, "detail": "so it is", "request_id": "r-1", **more}
    return reply(status, body, kind="application/problem+json", headers=headers)


def lose(handler: Handler) -> None:
    """The request was read, and its answer is lost."""
    handler.cut()


def stream(*pieces: Any, whole: bool = True, kind: str = "application/x-ndjson") -> Answer:
    """A chunked answer: a chunk for each piece (bytes, or a JSON line); cut if not ``whole``."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            line = piece if isinstance(piece, bytes) else json.dumps(piece).encode() + b"\n"
            handler.chunk(line)
        if whole:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.cut()

    return answer


def then_silence(*pieces: Any) -> Answer:
    """The beginning of a stream, and nothing more for as long as the test takes."""
    begin = stream(*pieces, whole=False)

    def answer(handler: Handler) -> None:
        begin(handler)
        handler.over.wait(30)

    return answer


class Scripted:
    """Answers one request after another; what it was asked is in ``asked``."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[Asked] = []  # guarded by _lock, as _answers
        self._answers = list(answers)
        self._lock = Lock()
        self._over = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def then(self, *answers: Answer) -> None:
        with self._lock:
            self._answers += answers

    def each(self, read: Callable[[Asked], Any]) -> list[Any]:
        return [read(one) for one in self.asked]

    def headers(self, name: str) -> list[str | None]:
        return [one.headers.get(name) for one in self.asked]

    def _handler(self) -> type[Handler]:
        script = self

        class Scripting(Handler):
            over = script._over

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.cut()  # the client went away

            def answer(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                headers = dict(self.headers.items())
                body = self.read_body()
                self.asked = Asked(self.command, parts.path, query, headers, body)
                script._next(self.asked)(self)

            do_GET = do_POST = do_DELETE = answer

        return Scripting

    def _next(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            return self._answers.pop(0) if self._answers else reply(500, "the script is over")


def client_of(service: Scripted, **options: Any) -> Client:
    """A client with short pauses."""
    return Client(service.url, **{"backoff_s": 0.001, **options})


def a_batch(total: int = 2, **changes: Any) -> dict[str, Any]:
    """A batch as the service shows it."""
    none = ("outcome", "max_workers", "elapsed_s", "started_at", "finished_at", "expires_at")
    counts = dict.fromkeys(("running", "succeeded", "failed", "cancelled"), 0)
    return {
        **dict.fromkeys((*none, "eta_s", "retry_of", "name")),
        "id": "b-1",
        "labels": {},
        "status": "queued",
        "executor": "pool",
        "lock": "line",
        "priority": 0,
        "counts": {"total": total, "queued": total, **counts},
        "concurrency": {"average": None, "peak": 0, "cpu_parallelism": None},
        "created_at": "2026-01-31T12:00:00.123Z",
        "poll_after_s": 1,
        "links": {"self": "/v1/batches/b-1"},
        **changes,
    }


def a_result(seq: int, **changes: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "index": seq - 1,
        "custom_id": None,
        "job_id": f"b-1.{seq - 1}",
        "type": "numbers",
        "status": "succeeded",
        "error": None,
        "result": {"lines": [str(seq)]},
        **changes,
    }


def results(seqs: Iterable[int]) -> list[dict[str, Any]]:
    return [a_result(seq) for seq in seqs]
