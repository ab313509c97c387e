"""A process that may open no more files: it keeps clients waiting, and drops nothing."""

from __future__ import annotations

import resource
import select
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
    with ExitStack() as crowd:
        with few_descriptors(worker):
            for _ in range(20):
                crowd.enter_context(server.connect())
            full = "no more connections can be accepted"
            eventually(lambda: full in server.log.read_text(), "there are no more")
            late = crowd.enter_context(server.connect())
            late.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: spare_descriptors(worker) == 0, "all are in use")

            def post(session: requests.Session) -> requests.Response:
                body = {"jobs": [job(count=1)]}
                return session.post(f"{server.url}/v1/batches?wait=1", json=body, timeout=30)

            with ThreadPoolExecutor(len(idle)) as clients:
                answers = list(clients.map(post, idle))
            eventually(lambda: spare_descriptors(worker) == 0, "all are still in use")
            assert not select.select([late], [], [], 0)[0], "a new client was answered meanwhile"
        assert late.recv(100).startswith(b"HTTP/1.1 200 ")
    assert {answer.status_code for answer in answers} <= {200, 202, 503}
    accepted = [a.headers["Location"] for a in answers if a.status_code != 503]
    for one in accepted:
        assert server.ended(one)["outcome"] == "succeeded"
    assert server.ended(path)["outcome"] == "succeeded"
    assert rerun(server, path) == []
    assert server.workers() == [worker]
    assert len(server.get("/v1/batches")["items"]) == 1 + len(accepted)


def spare_descriptors(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] - used_descriptors(pid)


def used_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextmanager
def few_descriptors(pid: int) -> Iterator[None]:
    """The process may open two more files."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    few = used_descriptors(pid) + 2
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
