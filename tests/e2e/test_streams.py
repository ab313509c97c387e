"""Streams over real connections: cut, vanished, slow and silent clients; kills and stops."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

import requests

from tests.support.api import job
from tests.support.following import ConsoleText, Follower, JobEvents, ResultLines
from tests.support.server import Server
from tests.support.waiting import eventually

JOBS = 3_000
BUSY_S = 5
"""What a machine that does much else may add to a time."""


def test_a_stream_is_resumed_over_cuts_and_kills_without_loss_or_repetition(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=2, pool_size=8).start()
    jobs = [job(count=1, delay_s=0.02, name=f"é{n}") for n in range(JOBS)]
    path = server.submit(*jobs)
    results = ResultLines(server, path, seed=1, mean_bytes=22_000)
    console = ConsoleText(server, path, seed=2, mean_bytes=1_600)
    events = JobEvents(server, path, seed=3, mean_bytes=28_000)
    followers: list[Follower] = [results, console, events]
    for follower in followers:
        follower.start()
    for enough in (JOBS // 3, 2 * JOBS // 3):
        eventually(lambda n=enough: len(results.lines) >= n, f"{enough} lines", timeout_s=60)  # type: ignore[misc]
        assert server.get(path)["status"] == "running"
        server.kill()
        server.start()
    for follower in followers:
        follower.join(60)
        assert follower.over
        assert follower.cuts >= 10
        assert follower.failures >= 2, "it was not following when the service was killed"
    batch = server.get(path)

    assert [line["seq"] for line in results.lines] == list(range(1, JOBS + 1))
    assert sorted(line["index"] for line in results.lines) == list(range(JOBS))
    assert results.lines == sorted(server.results(path), key=lambda line: line["seq"])
    assert results.end == {
        "type": "end", "status": "completed", "outcome": "succeeded", **batch["counts"],
    }  # fmt: skip

    whole = server.session.get(f"{server.url}{path}/console", timeout=30).content
    assert console.text == whole
    assert {f"é{n}: 1" for n in range(JOBS)} == set(whole.decode().splitlines())

    told = [data for name, data in events.events if name == "job"]
    assert [one["seq"] for one in told] == list(range(1, JOBS + 1))
    assert sorted(one["index"] for one in told) == list(range(JOBS))
    assert events.events[-1] == ("batch", batch)
    assert [data["status"] for name, data in events.events if name == "batch"].count(
        "completed"
    ) == 1
    for follower in followers:
        figures = f"{follower.cuts} own cuts, {follower.failures} failed connections"
        print(f"{follower.route}: {figures}, 2 kills and restarts")
    print(f"{len(results.lines)} results, {whole.count(10)} console lines, {len(told)} job events")


# --- clients that hold a thread -------------------------------------------------------------


def opened(server: Server, route: str, version: str = "1.1", **options: Any) -> socket.socket:
    """A connection that has the head of a streamed answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.get("buffer", 65_536))
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {route} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    client.settimeout(30)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert b" 200 " in head, head
    return client


def rest_of(client: socket.socket) -> bytes:
    whole = b""
    with client:
        while data := client.recv(65_536):
            whole += data
    return whole


def cancel(server: Server, path: str) -> None:
    assert server.session.post(f"{server.url}{path}/cancel", timeout=30).status_code == 202


def test_streams_take_at_most_half_of_the_threads_and_a_vanished_client_frees_its_own(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(threads=4).start()
    path = server.submit(job(count=2, delay_s=60))
    follow = f"{server.url}{path}/results?follow=true"
    held = [opened(server, f"{path}/events"), opened(server, f"{path}/results?follow=true")]
    refused = requests.get(follow, stream=True, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
    assert int(refused.headers["Retry-After"]) >= 1
    answer = requests.get(f"{server.url}{path}?wait=60", timeout=30)
    assert (answer.status_code, answer.headers["Wait-Refused"]) == (200, "too-many-streams")
    held.pop().close()

    def let_in() -> bool:
        with requests.get(follow, stream=True, timeout=30) as response:
            return response.status_code == 200

    eventually(let_in, "the seat of the client that went is free", timeout_s=5)
    cancel(server, path)
    rest = rest_of(held[0])
    assert rest.count(b"event: job") == 1
    assert rest.endswith(b"0\r\n\r\n")


def test_a_silent_stream_outlasts_the_patience_with_slow_clients(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(threads=8, client_timeout_s=0.5).start()
    path = server.submit(job(count=1, delay_s=2.5))
    modern, old = (opened(server, f"{path}/results?follow=true", v) for v in ("1.1", "1.0"))
    chunked, plain = rest_of(modern), rest_of(old)
    assert chunked.endswith(b"0\r\n\r\n")
    assert plain.splitlines()[-1].startswith(b'{"type":"end"')
    assert len(plain.splitlines()) == 2


def test_a_follower_that_does_not_read_is_dropped(make_server: Callable[..., Server]) -> None:
    server = make_server(threads=4, client_timeout_s=1).start()
    path = server.submit(*[job(count=10_000, name="x" * 100)] * 8)
    server.ended(path)
    deaf = opened(server, f"{path}/console?follow=true", buffer=4_096)
    cut = "a slow client was cut off"
    eventually(lambda: cut in server.log.read_text(), "it is dropped", timeout_s=20)
    assert not rest_of(deaf).endswith(b"0\r\n\r\n")


def test_a_stop_cuts_streams_at_once_and_shows_it(make_server: Callable[..., Server]) -> None:
    server = make_server(drain_s=3).start()
    path = server.submit(job(count=2, delay_s=60))
    routes = ("results?follow=true", "console?follow=true", "events")
    held = [opened(server, f"{path}/{route}") for route in routes for _ in range(2)]
    eventually(lambda: server.get(path)["counts"]["running"] == 1, "it runs")
    begun = monotonic()
    server.process.terminate()
    rests = [rest_of(client) for client in held]
    assert server.process.poll() is None, "the streams waited for the end of the drain"
    assert server.process.wait(30) == 0
    print(f"left {monotonic() - begun:.1f} s after SIGTERM, with a drain of 3 s")
    assert monotonic() - begun < 3 + 2 + BUSY_S
    assert not any(rest.endswith(b"0\r\n\r\n") or b'"type":"end"' in rest for rest in rests)
    assert "Traceback" not in server.log.read_text()


def test_an_answer_that_is_being_read_is_sent_to_its_end(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(drain_s=3).start()
    path = server.submit(*[job(count=10_000, name="x" * 100)] * 8)
    server.ended(path)
    for _ in range(5):
        requests.get(f"{server.url}/healthz", timeout=30, headers={"Connection": "close"})
    reading = opened(server, f"{path}/console")
    server.process.terminate()
    assert rest_of(reading).endswith(b"0\r\n\r\n")
    assert server.process.wait(30) == 0
