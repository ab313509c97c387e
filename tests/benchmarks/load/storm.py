"""Many clients at once, each asking again as soon as it is answered; one thread drives them all.

Connections are kept, and reconnected where the server closes one. It costs some 20 µs a request,
and says how much of a core it took, so that it can be seen that it was not what held things up.
"""

from __future__ import annotations

import select
import socket
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter, process_time

from tests.benchmarks.findings import NotMeasured, percentile
from tests.benchmarks.load.request import Answer, answer_in

LAST_ANSWERS_S = 30


@dataclass
class Storm:
    """What came of it."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    client_cores: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies_s) / self.seconds

    def ms(self, percent: float) -> float:
        return percentile(self.latencies_s, percent) * 1000


def crowded(clients: int) -> str:
    """How many there are, in words."""
    return "one client" if clients == 1 else f"{clients} clients"


class Client:
    """One connection, with at most one request on its way."""

    def __init__(self, port: int, request: bytes, storm: Storm) -> None:
        self._address = ("127.0.0.1", port)
        self._request = request
        self._storm = storm
        self._received = b""
        self._sent_at = 0.0
        self.socket = socket.create_connection(self._address)

    def send(self) -> None:
        self._received = b""
        self._sent_at = perf_counter()
        self.socket.send(self._request)  # small enough for any socket's buffer

    def receive(self) -> Answer | None:
        """Read what is there; the answer, once it is complete."""
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise NotMeasured("a connection was closed instead of an answer")
        self._received += piece
        answer = answer_in(self._received)
        if answer:
            self._storm.latencies_s.append(perf_counter() - self._sent_at)
            self._storm.statuses[answer.status] += 1
        return answer

    def reconnect(self) -> None:
        self.socket.close()
        self.socket = socket.create_connection(self._address)


def storm(port: int, request: bytes, *, clients: int, seconds: float, status: int) -> Storm:
    """Ask for so long, then wait for the last answers. Raises NotMeasured if any answer had
    another status."""
    found = Storm()
    poll = select.epoll()
    waiting: dict[int, Client] = {}

    def ask(client: Client) -> None:
        waiting[client.socket.fileno()] = client
        client.send()

    crowd = [Client(port, request, found) for _ in range(clients)]
    for client in crowd:
        poll.register(client.socket, select.EPOLLIN)
    begun, cpu = perf_counter(), process_time()
    for client in crowd:
        ask(client)
    while waiting:
        now = perf_counter() - begun
        if now > seconds + LAST_ANSWERS_S:
            raise NotMeasured(f"{len(waiting)} requests were not answered in {LAST_ANSWERS_S} s")
        for number, _ in poll.poll(1.0):
            client = waiting[number]
            answer = client.receive()
            if answer is None:
                continue
            if answer.closes:
                client.reconnect()
                poll.register(client.socket, select.EPOLLIN)
            del waiting[number]
            if perf_counter() - begun < seconds:
                ask(client)
    found.seconds = perf_counter() - begun
    found.client_cores = (process_time() - cpu) / found.seconds
    poll.close()
    for client in crowd:
        client.socket.close()
    if set(found.statuses) != {status}:
        raise NotMeasured(f"not every answer was {status}: {dict(found.statuses)}")
    return found
