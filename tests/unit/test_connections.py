"""The clients of streams, as sockets see them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from service.connections import Audience, PacedSocket, Patience
from tests.support.waiting import eventually

Pair = tuple[PacedSocket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The service's end of a connection, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        taken, _ = listener.accept()
    with PacedSocket(taken, Patience(0.2, threads=4)) as ours, client:
        yield ours, client


def hung_up(audience: Audience) -> bool:
    try:
        audience.check()
    except ConnectionResetError:
        return True
    return False


def test_a_client_that_hangs_up_is_noticed_without_writing_to_it(pair: Pair) -> None:
    ours, client = pair
    audience = Audience(ours)
    assert not hung_up(audience)
    client.sendall(b"GET / HTTP/1.1")  # the next request, sent already
    assert not hung_up(audience)
    client.close()
    eventually(lambda: hung_up(audience), "it is noticed")


def test_a_client_whose_machine_is_gone_is_asked_for(pair: Pair) -> None:
    ours, _ = pair
    Audience(ours)
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 15


def test_a_stream_may_last_although_each_piece_takes_a_while(pair: Pair) -> None:
    ours, _ = pair
    audience = Audience(ours)

    def send_late(pieces: int, *, streaming: bool) -> None:
        ours.begin()
        for _ in range(pieces):
            ours._wait(0.15)  # most of the time that a client has
            ours.sendall(b"x")
            if streaming:
                audience.check()
        ours.end()

    send_late(8, streaming=True)
    with pytest.raises(BrokenPipeError):
        send_late(8, streaming=False)
