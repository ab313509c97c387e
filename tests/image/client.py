"""HTTP to the service in the container, by the standard library alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

PORT = 8000
PATIENCE_S = 30.0


def get(path: str) -> dict[str, Any]:
    return request("GET", path)[1]


def post(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return request("POST", path, json.dumps(body))


def request(method: str, url: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
    target = urlsplit(url)._replace(scheme="", netloc="").geturl()
    connection = HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE_S)
    try:
        connection.request(method, target, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def until(condition: Callable[[], bool]) -> None:
    """Ends the run when the condition does not come true in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"WRONG waited {PATIENCE_S} s in vain")
        time.sleep(0.05)
