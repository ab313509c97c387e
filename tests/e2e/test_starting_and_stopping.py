"""SIGTERM while it starts, and while it answers; and a start that must not be."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from tests.support.api import job
from tests.support.audit import flaws_of_file
from tests.support.evidence import database_of, looking_into
from tests.support.faulty import BUILD, NETWORK, START, UPGRADE
from tests.support.server import Server
from tests.support.waiting import eventually

DRAIN_S = 20


def stopped_at(server: Server, point: str) -> int:
    """Its exit code, told to stop when it has come so far in its start."""
    server.order(point)
    process = server.launch()
    eventually(lambda: server.has_met(point), "it has come so far", timeout_s=30)
    process.terminate()
    begun = monotonic()
    server.let_go_on(point)
    code = process.wait(30)
    assert monotonic() - begun < DRAIN_S / 2, "there is nothing to wait for"
    eventually(lambda: not server.is_there(), "nothing of it is left")
    assert "Traceback" not in server.log.read_text()
    return code


@pytest.mark.parametrize("point", [BUILD, START])
def test_sigterm_during_a_start_ends_it_in_order(
    make_server: Callable[..., Server], point: str
) -> None:
    server = make_server(drain_s=DRAIN_S).faulty()
    assert stopped_at(server, point) == 0
    assert flaws_of_file(database_of(server)) == []


def test_sigterm_during_an_upgrade_undoes_it_and_the_next_start_does_it(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(drain_s=DRAIN_S).faulty()
    # gunicorn does not listen yet: the kernel ends the process
    assert stopped_at(server, UPGRADE) == -signal.SIGTERM
    with looking_into(server) as database:
        assert database.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    server.start()
    assert server.run(job(count=1))["outcome"] == "succeeded"


BODY = b'{"jobs":[{"type":"numbers","params":{"count":1,"delay_s":0.1}}]}'
SUBMIT = (
    b"POST /v1/batches?wait=5 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


def exchange(server: Server) -> bytes:
    """Submit on a connection of its own; all that is answered, b"" if nothing is."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(30)
        answer = b""
        try:
            client.sendall(SUBMIT)
            while piece := client.recv(65_536):
                answer += piece
        except ConnectionError:
            pass  # the listener closed before anyone took the connection, or it was cut
        return answer


def test_no_answer_is_cut_by_sigterm(make_server: Callable[..., Server]) -> None:
    server = make_server(threads=8, drain_s=DRAIN_S).start()
    answers: list[bytes] = []

    def client() -> None:
        """Ask until there is nobody to ask."""
        while True:
            try:
                answers.append(exchange(server))
            except (ConnectionRefusedError, ConnectionResetError):
                return  # reset: the listener closed while it connected

    with ThreadPoolExecutor(12) as clients:
        load = [clients.submit(client) for _ in range(12)]
        eventually(lambda: len(answers) > 20, "many are answered")
        before = len(answers)
        assert server.terminate() == 0
        for one in load:
            one.result(30)
    whole = [answer for answer in answers if answer]
    assert len([answer for answer in answers[before:] if answer]) >= 6, "none was under way"
    assert {status_of(answer) for answer in whole} <= {200, 202, 503}
    for answer in whole:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert len(body) == int(header(head, b"content-length")), "an answer was cut"
    accepted = [answer for answer in whole if status_of(answer) != 503]
    with looking_into(server) as database:
        ids = {id for (id,) in database.execute("SELECT id FROM batches")}
    assert ids == {header(one, b"location").decode().rpartition("/")[2] for one in accepted}
    assert flaws_of_file(database_of(server)) == []
    told = len(whole) - len(accepted)
    print(f"{len(accepted)} accepted, {told} told that it stops, {answers.count(b'')} not heard")


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def header(answer: bytes, name: bytes) -> bytes:
    (found,) = re.findall(rb"(?im)^%b: (.*?)\r$" % name, answer + b"\r\n")
    return bytes(found)


def test_data_on_a_network_file_system_is_refused(make_server: Callable[..., Server]) -> None:
    server = make_server().faulty()
    server.order(NETWORK)
    assert server.launch().wait(30) == 2
    assert server.has_met(NETWORK)
    said = server.log.read_text()
    assert "is on a network file system (nfs4)" in said
    assert "JOBSPOOL_DATA_DIR" in said
    assert not database_of(server).exists()
