"""SIGTERM while it starts, and while it answers; and a start that must not be."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import monotonic
from typing import NamedTuple

import pytest
import requests

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


# --- a damaged database -----------------------------------------------------------------------

PAGE = 4_096
HEADER = 100


class Filled(NamedTuple):
    """A database of three ended batches, at rest."""

    whole: bytes
    roots: dict[str, int]  # of tables and indexes: the offsets of their first pages
    paths: list[str]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    server = Server(tmp_path_factory.mktemp("filled"), threads=4).start()
    paths = [ended_batch(server, name) for name in ("first", "second", "third")]
    assert server.terminate() == 0
    with looking_into(server) as database:
        rows = database.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0")
        roots = {name: (page - 1) * PAGE for name, page in rows}
    yield Filled(database_of(server).read_bytes(), roots, paths)
    server.close()


def ended_batch(server: Server, name: str) -> str:
    path = server.submit(*[{**job(count=1), "custom_id": f"of the {name}"}] * 1_000)
    assert server.ended(path)["outcome"] == "succeeded"
    return path


def on(server: Server, content: bytes) -> Server:
    database_of(server).parent.mkdir()
    database_of(server).write_bytes(content)
    return server


def spoilt(whole: bytes, start: int, end: int, kind: str) -> bytes:
    size = end - start
    return (
        whole[:start]
        + (bytes(size) if kind == "zeros" else Random(7).randbytes(size))
        + whole[end:]
    )


@pytest.mark.parametrize("kind", ["zeros", "noise"])
@pytest.mark.parametrize(
    "place", ["schema", "alembic_version", "batches", "jobs", "gauges", "rest"]
)
def test_a_database_with_damaged_pages_is_refused_with_a_sentence(
    make_server: Callable[..., Server], filled: Filled, place: str, kind: str
) -> None:
    whole, root = filled.whole, filled.roots.get(place, PAGE)
    start, end = (HEADER, PAGE) if place == "schema" else (root, root + PAGE)
    is_refused(
        on(make_server(), spoilt(whole, start, len(whole) if place == "rest" else end, kind))
    )


@pytest.mark.parametrize(
    "size", [HEADER, PAGE, 3 * PAGE, "half", "all but a page", "half and a bit"]
)
def test_a_database_that_was_cut_is_refused_with_a_sentence(
    make_server: Callable[..., Server], filled: Filled, size: int | str
) -> None:
    half = len(filled.whole) // PAGE // 2 * PAGE
    sizes = {"half": half, "half and a bit": half + 1_000, "all but a page": -PAGE}
    is_refused(on(make_server(), filled.whole[: sizes[size] if isinstance(size, str) else size]))


def is_refused(server: Server) -> None:
    before = database_of(server).read_bytes()
    assert server.launch().wait(30) == 2
    said = server.log.read_text()
    assert f"the database {database_of(server)} can't be opened" in said
    assert "Restore it from a backup, or move it away" in said
    assert "Traceback" not in said
    assert database_of(server).read_bytes() == before


def test_damage_deep_in_a_table_shows_when_it_is_read_and_to_the_doctor(
    make_server: Callable[..., Server], filled: Filled
) -> None:
    """A start does not read the whole file: that takes minutes for a big one."""
    pages = [filled.whole[at : at + PAGE] for at in range(0, len(filled.whole), PAGE)]
    deep = [page for page in pages if b"of the second" in page and b"first" not in page]
    assert len(deep) > 10
    pages = [bytes(PAGE) if page in deep else page for page in pages]
    server = on(make_server(threads=4), b"".join(pages)).start()
    first, second, _ = filled.paths
    assert len(server.results(first)) == 1_000
    assert server.get(second)["counts"]["succeeded"] == 1_000
    for query in ("", "?format=ndjson", "?format=csv"):
        answer = requests.get(f"{server.url}{second}/results{query}", timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
        assert "malformed" in answer.json()["detail"]
    assert server.run(job(count=1))["outcome"] == "succeeded"
    assert "fail  database     damaged" in doctor(server)


def test_damage_in_what_finds_queued_jobs_accepts_none(
    make_server: Callable[..., Server], filled: Filled
) -> None:
    at = filled.roots["jobs_queued"]
    server = on(make_server(threads=4), spoilt(filled.whole, at, at + PAGE, "zeros")).start()
    assert server.post([job(count=1)]).status_code == 503
    assert len(server.get("/v1/batches")["items"]) == len(filled.paths)
    assert len(server.results(filled.paths[0])) == 1_000
    assert "fail  database     damaged" in doctor(server)


def doctor(server: Server) -> str:
    command = [*server.command, "doctor"]
    done = subprocess.run(
        command, env=server.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    return done.stdout


# --- a database that is gone ------------------------------------------------------------------


def test_a_database_that_is_deleted_is_not_replaced_by_an_empty_one(
    make_server: Callable[..., Server],
) -> None:
    """Nor by a worker that begins in the meantime: it waits for the file."""
    server = make_server(threads=4).start()
    (worker,) = server.workers()
    path = server.submit(job(count=1))
    server.ended(path)
    folder = database_of(server).parent
    for file in folder.glob("jobspool.db*"):
        file.unlink()
    for answer in (server.post([job(count=1)]), server.post([job(count=1)] * 5_000)):
        assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
        assert "the database is gone" in answer.json()["detail"]
    assert requests.get(f"{server.url}/readyz", timeout=30).status_code == 503
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: server.log.read_text().count("waiting for the store") > 2, "another waits")
    assert worker not in server.workers()
    assert list(folder.glob("jobspool.db*")) == []
    assert server.terminate() == 0
    assert list(folder.glob("jobspool.db*")) == []


def test_a_log_without_its_database_is_refused_with_a_sentence(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(threads=4).start()
    server.run(job(count=1))
    server.kill()
    moved = database_of(server).rename(server.folder / "moved.db")
    assert server.launch().wait(30) == 2
    said = server.log.read_text()
    assert f"the database {database_of(server)} is gone" in said
    assert "Put the database back beside it, or move the log away" in said
    assert not database_of(server).exists()
    moved.rename(database_of(server))
    assert len(server.start().get("/v1/batches")["items"]) == 1
