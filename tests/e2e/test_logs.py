"""The log of real processes: whatever happens, and whatever strangers send, one JSON line each."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import job
from tests.support.server import Server
from tests.support.waiting import eventually

ODD_JOBS = """
import threading, warnings
from flask import has_request_context
from pydantic import BaseModel
from service.jobs.contract import JobType

class Params(BaseModel):
    how: str

class Odd(JobType[Params]):
    name = "odd"
    description = "Does what logs dislike."
    params_model = Params

    @property
    def example(self):
        if has_request_context():
            raise ValueError("no example\\n{\\"forged\\": 1}\\x1b[2J")
        return {"how": "warn"}

    def run(self, ctx, params):
        if params.how == "warn":
            warnings.warn("careful\\nnow")
        if params.how == "thread":
            thread = threading.Thread(target=self.die)
            thread.start()
            thread.join()
        if params.how == "raise":
            raise ValueError("two\\nlines\\u2028\\ud800" + "x" * 100_000)

    def die(self):
        raise ValueError("in a\\nthread")
"""


@pytest.fixture
def odd_package(tmp_path: Path) -> Path:
    """A job type that is installed, as the import system sees it."""
    info = tmp_path / "site" / "odd-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jobspool.jobs]\nodd = odd_jobs:Odd\n")
    (tmp_path / "site" / "odd_jobs.py").write_text(ODD_JOBS)
    return tmp_path / "site"


def send(server: Server, head: bytes) -> bytes:
    """Bytes as they are; what comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(head)
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
        return answer


HOSTILE_REQUESTS = [
    b"GET /a%0a%0d%1b[2J%e2%80%a8%00%ff%ed%a0%80 HTTP/1.1\r\nHost: x\r\n",
    b"GET /\xc2\x85\xe2\x80\xa8\xff\x1b HTTP/1.1\r\nHost: x\r\n",
    b"GET /v1/batches/%0a%7b%22forged%22:1%7d?x=%0a HTTP/1.1\r\nHost: x\r\n",
    b"GET /" + b"long" * 800 + b" HTTP/1.1\r\nHost: x\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\xc2\x85b\x1b[31m\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\x00b\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: 1\r\n folded\r\n",
    b"GE\x1bT / HTTP/1.1\r\nHost: x\r\n",
    b"\x1b[2J\nGET / HTTP/9.9\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRET\x01TOKEN\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer SECRETTOKEN\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRETTOKEN\r\n",
    b"POST /v1/batches HTTP/1.1\r\nHost: x\r\nIdempotency-Key: SECRETKEY\r\nContent-Length: 0\r\n",
    b"POST /v1/batches HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: text/plain\r\nConnection: close\r\n\r\nzz\x1b\r\n",
]


def events_of(server: Server) -> list[dict[str, Any]]:
    """Every line there is, each a JSON object with what every event has."""
    events = []
    # bytes: splitlines() of a str would also break where a JSON text may hold a raw character
    for line in server.log.read_bytes().split(b"\n")[:-1]:
        assert line.isascii(), line
        event = json.loads(line)
        assert {"timestamp", "level", "event", "pid"} <= set(event), event
        events.append(event)
    return events


def test_whatever_happens_every_line_of_the_log_is_a_json_object(
    make_server: Callable[..., Server], odd_package: Path
) -> None:
    server = make_server(workers=2, log_level="debug", misspelt="x\ny")
    server.environment |= {"PYTHONPATH": str(odd_package), "PYTHONWARNINGS": "default"}
    server.start()
    for head in HOSTILE_REQUESTS:
        assert send(server, head + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 ")
    failed = server.session.get(f"{server.url}/v1/job-types", headers={"X-Request-Id": "find.me"})
    assert (failed.status_code, failed.json()["request_id"]) == (500, "find.me")
    path = server.submit(
        *[job("odd", how=how) for how in ("warn", "thread", "raise", "raise")],
        job("scrape", url="http://nowhere.invalid/%0a%1b?%e2%80%a8"),
        name="n\n\x1b[31m\u2028\u0085\x7f",
    )
    assert server.ended(path)["counts"]["failed"] == 3
    running = server.submit(job(count=2, delay_s=2.0))
    eventually(lambda: server.get(running)["counts"]["running"], "a job runs")
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    server.ended(running)
    server.terminate()

    events = events_of(server)
    told = {event["event"] for event in events}
    assert {
        "a variable that is no setting of this service",
        "batch accepted",
        "batch ended",
        "job ran",
        "job raised",
        "a thread died of an error",
        "jobs of dead processes rescued",
        "a request that can't be read",
        "Shutting down: Master",
    } <= told
    assert any(event["logger"] == "py.warnings" for event in events)
    failures = [e for e in events if e["event"] == "request failed"]
    assert [(e["request_id"], e["level"]) for e in failures] == [("find.me", "error")]
    assert "no example" in failures[0]["exception"]
    requests = [event for event in events if event["event"] == "request"]
    assert any(e["request_id"] == "find.me" and e["status"] == 500 for e in requests)
    batch_id = path.rsplit("/", 1)[1]
    assert {"POST"} == {e["method"] for e in requests if e.get("batch_id") == batch_id} - {"GET"}
    whole = server.log.read_text()
    for secret in ("SECRET", "TOKEN"):
        assert secret not in whole


def test_the_log_grows_with_batches_and_not_with_jobs_or_polls(
    make_server: Callable[..., Server],
) -> None:
    server = make_server().start()
    quiet = server.submit(*[job(count=1)] * 2_000)
    server.ended(quiet)
    before = len(events_of(server))
    path = server.submit(*[job(count=1), job("numbers", count=1)] * 1_000)
    for _ in range(100):
        server.get(path)
    server.ended(path)
    new = events_of(server)[before:]
    assert [e["event"] for e in new] == ["batch accepted", "request", "batch ended"]
    ended = new[-1]
    assert (ended["outcome"], ended["succeeded"], ended["failed"]) == ("succeeded", 2_000, 0)


def test_a_refused_start_is_told_in_the_log_too(make_server: Callable[..., Server]) -> None:
    server = make_server(data_dir="/proc/nowhere")
    assert server.launch().wait(30) == 2
    last = events_of(server)[-1]
    assert (last["level"], last["event"]) == ("critical", "the service refuses to start")
    assert "/proc/nowhere" in last["reason"]


def test_the_console_is_for_people_and_requests_can_be_left_out(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(log_format="console", access_log="false", log_level="debug").start()
    server.run(job(count=1), name="two\nlines\x1b[31m")
    lines = server.log.read_text().split("\n")
    assert any("batch accepted" in line and r"two\nlines\x1b[31m" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert not any("] request " in line for line in lines)
