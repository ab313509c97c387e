"""Exports whose reader, or whose batch, goes away halfway."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.api import job
from tests.support.server import Server
from tests.support.waiting import eventually

RESET: Any = b"\1\0\0\0\0\0\0\0"  # struct linger: on, at once
END = b"\r\n0\r\n\r\n"


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(threads=4).start()


@pytest.fixture
def large(server: Server) -> str:
    """A batch whose results are some 10 MB, three pages of the store."""
    path = server.submit(*[job(count=10_000, name="x" * 90)] * 10)
    assert server.ended(path)["outcome"] == "succeeded"
    return path


def reader_of(server: Server, target: str) -> socket.socket:
    """A client that has read the beginning."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.settimeout(30)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    return client


def log_is_quiet(server: Server) -> bool:
    log = server.log.read_text()
    return "Traceback" not in log and "ERROR" not in log


@pytest.mark.parametrize("route", ["results?format=ndjson", "console"])
def test_an_export_of_a_batch_that_is_deleted_is_cut_so_that_it_shows(
    server: Server, large: str, route: str
) -> None:
    with reader_of(server, f"{large}/{route}") as client:
        assert server.session.delete(f"{server.url}{large}", timeout=30).status_code == 204
        whole = b""
        try:
            while piece := client.recv(1 << 20):
                whole += piece
        except ConnectionResetError:
            pass
    assert not whole.endswith(END)
    assert log_is_quiet(server), server.log.read_text()
    assert server.get("/v1/batches")["items"] == []


def test_readers_that_vanish_leave_their_threads(server: Server, large: str) -> None:
    for n in range(16):
        route = ("results?format=ndjson", "results?format=csv", "console", "results")[n % 4]
        client = reader_of(server, f"{large}/{route}")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()

    def all_threads_answer() -> bool:
        clients = [reader_of(server, "/healthz") for _ in range(4)]
        for client in clients:
            client.close()
        return True

    eventually(all_threads_answer, "every thread is free")
    assert log_is_quiet(server), server.log.read_text()
