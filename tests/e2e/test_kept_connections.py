"""Clients that keep their connection and ask again at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import requests

from tests.support.server import Server
from tests.support.waiting import eventually

THREADS = 2
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def read_answers(client: socket.socket, number: int) -> str:
    """So many answers to GET /healthz, none of which has another's head in its body."""
    received = b""
    while received.count(b"HTTP/1.1 ") < number or not received.endswith(b"}\n"):
        piece = client.recv(1 << 16)
        if not piece:
            break
        received += piece
    return received.decode()


@contextmanager
def endless(server: Server, clients: int) -> Iterator[list[int]]:
    """Clients whose next request is always there; the bytes that each was answered."""
    answered = [0] * clients
    connections = [server.connect() for _ in range(clients)]

    def send(client: socket.socket) -> None:
        with suppress(OSError):  # cut off
            while True:
                client.sendall(REQUEST * 100)

    def receive(n: int) -> None:
        with suppress(OSError):
            while piece := connections[n].recv(1 << 16):
                answered[n] += len(piece)

    threads = [Thread(target=send, args=(client,)) for client in connections]
    threads += [Thread(target=receive, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        for client in connections:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for client in connections:
            client.close()


def test_those_who_ask_without_pause_do_not_keep_others_out(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(threads=THREADS).start()
    with endless(server, THREADS * 2) as answered:
        eventually(lambda: min(answered) > 10_000, "each of them is served")
        for _ in range(5):
            assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200


def test_a_stop_does_not_wait_for_those_who_ask_without_pause(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(threads=THREADS).start()
    with endless(server, 1) as answered:
        eventually(lambda: answered[0] > 10_000, "it is served")
        assert server.terminate() == 0


def test_requests_that_are_sent_together_are_answered_in_their_order(
    make_server: Callable[..., Server],
) -> None:
    server = make_server().start()
    names = ["first", "second", "third"]
    together = "".join(
        f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: {name}\r\n\r\n" for name in names
    )
    with server.connect() as client:
        client.sendall(together.encode())
        answered = read_answers(client, len(names))
    heads = [line for line in answered.splitlines() if line.lower().startswith("x-request-id")]
    assert [head.split(": ")[1] for head in heads] == names
