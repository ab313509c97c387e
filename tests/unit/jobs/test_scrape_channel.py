"""Messages arrive whole and as they were sent, however the socket cuts them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from threading import Thread

import pytest

from service.jobs.extraction import channel

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.mark.parametrize("size", [0, 1, 64 << 10, 3 << 20], ids=str)
def test_a_message_of_any_size_arrives(pair: Pair, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    sender = Thread(target=channel.send, args=(pair[0], b"head", body))
    sender.start()
    assert channel.receive(pair[1]) == (b"head", body)
    sender.join()


def test_a_message_arrives_byte_by_byte(pair: Pair) -> None:
    pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 1))
    message = struct.pack("!II", 2, 3) + b"abcde"
    left = iter(message)

    def send_one() -> None:
        pair[0].send(bytes([next(left)]))

    assert channel.receive(pair[1], send_one) == (b"ab", b"cde")


def test_one_that_hangs_up_in_the_middle_has_no_message(pair: Pair) -> None:
    pair[0].send(struct.pack("!II", 2, 3) + b"abcd")
    pair[0].close()
    with pytest.raises(EOFError):
        channel.receive(pair[1])


def test_one_that_announces_more_than_there_can_be_is_not_waited_for(pair: Pair) -> None:
    pair[0].send(struct.pack("!II", 1, channel.MOST_BYTES))
    with pytest.raises(EOFError):
        channel.receive(pair[1])
