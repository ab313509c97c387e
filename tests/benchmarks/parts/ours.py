"""Our service, with its defaults and whatever settings are named, on a disk of its own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.message import Message
from time import perf_counter
from typing import Any

from tests.benchmarks.bench import ROOT, Bench
from tests.benchmarks.parts.moment import installed
from tests.benchmarks.parts.usage import family
from tests.support.server import Server

NOOP = {"type": "numbers", "params": {"count": 0}}
"""A job that does nothing; its result is an empty list."""
PRINTING = {"type": "numbers", "params": {"count": 1}}
"""A job that prints a line, which is kept in order with all others."""

WARM_UP = 200
TIMEOUT_S = 900
KEPT_S = 1.0
"""The service closes connections that are idle for some seconds."""


class Jobspool:
    """A client of a service that runs. Lean: what it costs is taken from the service's cores."""

    def __init__(self, server: Server) -> None:
        self.port = server.port
        self.data = server.folder / "data"
        self._server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_S)
        self._used_at = 0.0

    def submit(self, jobs: list[Any], **options: Any) -> str:
        """A batch as one JSON text; its path."""
        return self.post(json.dumps({"jobs": jobs, **options}))

    def post(self, body: str) -> str:
        """A batch that is JSON already; its path."""
        return self._submit("", body, "application/json")

    def stream(self, jobs: Iterable[bytes], query: str = "") -> str:
        """A batch as a stream of NDJSON, in pieces of some lines each; its path."""
        return self._submit(query, jobs, "application/x-ndjson")

    def _submit(self, query: str, body: Any, kind: str) -> str:
        status, headers, text = self._ask(
            "POST", f"/v1/batches{query}", body, {"Content-Type": kind}
        )
        assert status == 202, text
        return str(headers["Location"])

    def get(self, path: str) -> Any:
        return json.loads(self._read(path))

    def text(self, path: str) -> str:
        return self._read(path).decode()

    def _read(self, path: str) -> bytes:
        status, _, body = self._ask("GET", path)
        assert status == 200, body
        return body

    def completed(self, path: str) -> Any:
        """The batch once it has ended, with every job succeeded."""
        while (batch := self.get(f"{path}?wait=60"))["status"] not in ("completed", "cancelled"):
            pass
        assert batch["outcome"] == "succeeded", batch
        return batch

    def results(self, path: str) -> list[Any]:
        """Each line as it comes, while the service makes the next."""
        answer = self._begin("GET", f"{path}/results?format=ndjson")
        assert answer.status == 200, answer.read()
        found, rest = [], b""
        while piece := answer.read1(1 << 20):
            *lines, rest = (rest + piece).split(b"\n")
            found += [json.loads(line)["result"] for line in lines]
        self._used_at = perf_counter()
        assert not rest, rest
        return found

    def run(self, jobs: list[Any], **options: Any) -> list[Any]:
        """Submit, wait for the end, read every result."""
        path = self.submit(jobs, **options)
        self.completed(path)
        return self.results(path)

    def cancel(self, path: str) -> None:
        status, _, body = self._ask("POST", f"{path}/cancel")
        assert status in (200, 202), body

    def _ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Message, bytes]:
        answer = self._begin(method, path, body, headers)
        received = answer.read()
        self._used_at = perf_counter()
        return answer.status, answer.headers, received

    def _begin(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Its answer, of which the body is still to be read."""
        if perf_counter() - self._used_at > KEPT_S:
            self._connection.close()  # it opens a new one by itself
        chunked = body is not None and not isinstance(body, str)
        self._connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        return self._connection.getresponse()

    def workers(self) -> list[int]:
        return self._server.workers()

    def processes(self) -> list[int]:
        """gunicorn's master, the workers, and what these started."""
        return family(self._server.process.pid)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def jobspool(bench: Bench, *, moments: bool = False, **settings: Any) -> Iterator[Jobspool]:
    """Started, and warm. ``moments``: with that job type installed."""
    folder = bench.scratch.folder("jobspool")
    server = Server(folder, **settings)
    if moments:
        server.environment["PYTHONPATH"] = installed(bench.scratch.folder("moment"), ROOT)
    try:
        client = Jobspool(server.start())
        client.run([NOOP] * WARM_UP)
        yield client
        client.close()
    finally:
        server.close()
        bench.scratch.remove(folder)
