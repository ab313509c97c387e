"""A client that follows a batch over connections that are cut, by it or by others."""

from __future__ import annotations

import json
import random
from threading import Event, Thread
from typing import Any, ClassVar

import requests

from tests.support.server import Server

PAUSE_S = 0.05


class Follower(Thread):
    """Reads a stream to its end, and hangs up again and again on the way, at random bytes."""

    route: ClassVar[str]

    def __init__(self, server: Server, path: str, *, seed: int, mean_bytes: int) -> None:
        super().__init__(daemon=True)
        self._url = f"{server.url}{path}/{self.route}"
        self._random = random.Random(seed)
        self._mean_bytes = mean_bytes
        self.cuts = self.failures = 0
        self.over = False

    def run(self) -> None:
        while not self.over:
            try:
                self._connect()
            except requests.RequestException:
                self.failures += 1
                Event().wait(PAUSE_S)

    def _connect(self) -> None:
        asked = self.asked()
        with requests.get(self._url, stream=True, timeout=30, **asked) as response:
            if response.status_code == 503:
                raise requests.ConnectionError("not now")
            response.raise_for_status()
            self.begun(response.status_code)
            left = self._random.randint(1, 2 * self._mean_bytes)
            for chunk in response.iter_content(None):
                self.take(chunk[:left])
                left -= len(chunk)
                if left <= 0:
                    self.cuts += 1
                    return
            self.ended()

    def asked(self) -> dict[str, Any]:
        raise NotImplementedError

    def begun(self, status: int) -> None:
        pass

    def take(self, data: bytes) -> None:
        raise NotImplementedError

    def ended(self) -> None:
        """The answer was whole."""


class ResultLines(Follower):
    route = "results"

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.lines: list[Any] = []
        self.end: Any = None
        self._rest = b""

    def asked(self) -> dict[str, Any]:
        self._rest = b""
        after = self.lines[-1]["seq"] if self.lines else 0
        return {"params": {"follow": "true", "after": after}}

    def take(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in map(json.loads, whole):
            if "job_id" in line:
                self.lines.append(line)
            else:
                self.end, self.over = line, True


class ConsoleText(Follower):
    route = "console"

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.text = b""

    def asked(self) -> dict[str, Any]:
        return {"params": {"follow": "true", "after": len(self.text)}}

    def take(self, data: bytes) -> None:
        self.text += data

    def ended(self) -> None:
        self.over = True


class JobEvents(Follower):
    """As a browser's EventSource: it connects again at every end, until it is told 204."""

    route = "events"

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.events: list[tuple[str, Any]] = []
        self._last_id = ""
        self._rest = b""

    def asked(self) -> dict[str, Any]:
        self._rest = b""
        return {"headers": {"Last-Event-ID": self._last_id} if self._last_id else {}}

    def begun(self, status: int) -> None:
        self.over = status == 204

    def take(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for block in whole:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            if "event" in fields:
                self.events.append((fields["event"], json.loads(fields["data"])))
                self._last_id = fields["id"]
