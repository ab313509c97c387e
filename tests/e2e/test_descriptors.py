"""A process that may open no more files: it keeps clients waiting, and drops nothing."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.support.api import job
from tests.support.evidence import database_of, rerun, running
from tests.support.server import Server
from tests.support.waiting import eventually


def test_a_process_without_descriptors_answers_what_it_commits_and_drops_nothing(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(threads=8).start()
    (worker,) = server.workers()
    path = server.submit(*[job(count=1, delay_s=1.0)] * 2)
    running(server, path, 2)
    idle = [requests.Session() for _ in range(8)]
    for session in idle:
        session.get(f"{server.url}/healthz", timeout=30)
    with few_descriptors(worker), ExitStack() as crowd:
        for _ in range(20):
            crowd.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        full = "no more connections can be accepted"
        eventually(lambda: full in server.log.read_text(), "there are no more")

        def post(session: requests.Session) -> requests.Response:
            body = {"jobs": [job(count=1)]}
            return session.post(f"{server.url}/v1/batches", json=body, timeout=30)

        with ThreadPoolExecutor(len(idle)) as clients:
            answers = list(clients.map(post, idle))
    assert {answer.status_code for answer in answers} <= {202, 503}
    accepted = [a.headers["Location"] for a in answers if a.status_code == 202]
    for one in accepted:
        assert server.ended(one)["outcome"] == "succeeded"
    assert server.ended(path)["outcome"] == "succeeded"
    assert rerun(server, path) == []
    assert server.workers() == [worker]
    assert len(server.get("/v1/batches")["items"]) == 1 + len(accepted)


@contextmanager
def few_descriptors(pid: int) -> Iterator[None]:
    """The process may open two more files."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    few = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 2
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_with_too_few_descriptors_it_refuses_to_start(make_server: Callable[..., Server]) -> None:
    server = make_server(threads=8)
    server.command = ["sh", "-c", 'ulimit -n 80; exec "$0" "$@"', *server.command]
    assert server.launch().wait(30) == 2
    assert "may open 80 files here, and with 8 request threads needs 88" in server.log.read_text()
    assert not database_of(server).exists()
