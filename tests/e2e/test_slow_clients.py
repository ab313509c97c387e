"""Clients that are slow, silent or gone: four times as many as there are request threads."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
import requests

from tests.support.api import job
from tests.support.server import Server

THREADS = 4
MANY = 4 * THREADS
TIMEOUT_S = 4.0

POST = b"POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def patient(make_server: Callable[..., Server]) -> Server:
    return make_server(threads=THREADS, client_timeout_s=TIMEOUT_S).start()


@contextmanager
def crowd(server: Server, opening: bytes, drip: bytes = b"") -> Iterator[list[socket.socket]]:
    """Many clients that send the opening, then a drip now and then, and never read."""
    clients = []
    for _ in range(MANY):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(opening)
        clients.append(client)
    gone = Event()

    def keep_dripping() -> None:
        while drip and not gone.wait(0.2):
            for client in clients:
                try:
                    client.sendall(drip)
                except OSError:
                    pass  # it was cut off

    dripping = Thread(target=keep_dripping)
    dripping.start()
    try:
        yield clients
    finally:
        gone.set()
        dripping.join()
        for client in clients:
            client.close()


def answered_in_s(server: Server) -> float:
    begun = monotonic()
    assert requests.get(f"{server.url}/healthz", timeout=60).status_code == 200
    return monotonic() - begun


def errors(server: Server) -> list[str]:
    lines = server.log.read_text().splitlines()
    return [line for line in lines if '"level":"error"' in line or "Traceback" in line]


@pytest.mark.parametrize(
    ("opening", "drip"),
    [
        pytest.param(b"", b"", id="silent"),
        pytest.param(b"GET /healthz HT", b"", id="headers stall"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n", b"A: b\r\n", id="headers drip"),
        pytest.param(POST + b"Content-Length: 1000\r\n\r\n{", b"", id="body stalls"),
        pytest.param(POST + b"Content-Length: 100000\r\n\r\n{", b" ", id="body drips"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n", id="chunks drip"
        ),
        pytest.param(
            b"POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
            b" ",
            id="unread body",
        ),
        pytest.param(b"GET /healthz HTTP/1.0\r\n\r\n", b"", id="never hangs up"),
    ],
)
def test_those_who_send_slowly_do_not_keep_others_out(
    patient: Server, opening: bytes, drip: bytes
) -> None:
    with crowd(patient, opening, drip):
        assert answered_in_s(patient) < MANY / (THREADS - 1) + 2
        # nothing is left of the crowd but the one client that may be waited for at a time
        assert answered_in_s(patient) < 1
    assert errors(patient) == []


def test_those_who_do_not_read_do_not_keep_others_out(patient: Server) -> None:
    line = "x" * 100
    path = patient.submit(*[job(count=10_000, name=line)] * 8)
    patient.ended(path)
    opening = f"GET {path}/results?format=ndjson HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with crowd(patient, opening):
        assert answered_in_s(patient) < MANY / (THREADS - 1) + 5
    whole = requests.get(f"{patient.url}{path}/results?format=ndjson", timeout=60)
    assert len(whole.text.splitlines()) == 8
    assert errors(patient) == []


def test_a_client_may_be_slower_than_the_timeout_while_others_are_not(patient: Server) -> None:
    """Its body comes in pieces over a longer time, at more than the least rate."""
    body = b'{"jobs": [{"type": "numbers", "params": {"count": 1}}]}'
    whole = body + b" " * (200_000 - len(body))
    with socket.create_connection(("127.0.0.1", patient.port)) as client:
        client.sendall(POST + f"Content-Length: {len(whole)}\r\n\r\n".encode())
        pause, begun = Event(), monotonic()
        for start in range(0, len(whole), 10_000):
            client.sendall(whole[start : start + 10_000])
            pause.wait(0.3)
        assert monotonic() - begun > TIMEOUT_S
        client.settimeout(20)
        assert client.recv(100).startswith(b"HTTP/1.1 202")


# --- bodies that end badly ------------------------------------------------------------------


def answer(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(20)
        whole = b""
        while data := client.recv(65_536):
            whole += data
        return whole


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NDJSON = CHUNKED.replace(b"application/json", b"application/x-ndjson")
LINE = b'{"type":"numbers"}\n'


@pytest.mark.parametrize(
    "request_text",
    [
        CHUNKED + b"ZZZ\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"5\r\n{",
        CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}\r\n",
        CHUNKED + b"2\r\n{}\r\n0\r\n",
        CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"9" * 10_000,
        POST + b"Content-Length: 100\r\n\r\n{",
        NDJSON + b"%x\r\n" % (5_000 * len(LINE)) + 5_000 * LINE + b"\r\nZZZ\r\n",
        NDJSON + b"%x\r\n" % (6_000 * len(LINE)) + 5_000 * LINE,
    ],
)
def test_a_body_that_is_cut_or_badly_chunked_is_400(server: Server, request_text: bytes) -> None:
    whole = answer(server, request_text)
    assert whole.startswith(b"HTTP/1.1 400 "), whole
    assert b'"code":"malformed"' in whole
    assert server.get("/v1/batches")["items"] == []
    assert errors(server) == []


def test_a_client_that_vanishes_is_no_error(server: Server) -> None:
    reset: Any = b"\1\0\0\0\0\0\0\0"  # struct linger: on, at once
    for request in (NDJSON + b"ffff\r\n" + LINE, POST + b"Content-Length: 100\r\n\r\n{", POST):
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(request)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.close()
    assert answered_in_s(server) < 1
    assert server.terminate() == 0
    assert errors(server) == []
