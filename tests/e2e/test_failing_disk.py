"""Disks that are full, broken, or gone: no answer without a commit, and all goes on once it can."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from service.store.database import Database
from tests.support.api import job
from tests.support.audit import flaws_of_file
from tests.support.disk import Disk, needs_compiler
from tests.support.evidence import database_of, rerun, running, submit_until_answered
from tests.support.faulty import SMALL_WAL
from tests.support.server import Server
from tests.support.waiting import eventually

FAULTS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "broken": errno.EIO}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Disk]]:
    folder = tmp_path_factory.mktemp("disk")
    server = Server(folder, threads=4)
    disk = Disk(folder, server)
    yield server.start(), disk
    server.close()


def submit(server: Server, name: str) -> requests.Response:
    return requests.post(
        f"{server.url}/v1/batches",
        json={"jobs": [job(count=1)], "name": name},
        headers={"Idempotency-Key": name},
        timeout=30,
    )


def submit_lines(server: Server, count: int) -> requests.Response:
    lines = b'{"type":"numbers"}\n' * count
    kind = {"Content-Type": "application/x-ndjson"}
    return requests.post(f"{server.url}/v1/batches", data=lines, headers=kind, timeout=30)


def threads(server: Server) -> dict[str, int]:
    return dict(server.get("/v1/executor")["threads"])


def status(server: Server, path: str) -> int:
    return requests.get(f"{server.url}{path}", timeout=30).status_code


def is_refused(answer: requests.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "store-unavailable"
    assert answer.headers["Retry-After"]


@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_fails_accepts_nothing_and_loses_nothing(
    shared: tuple[Server, Disk], fault: str
) -> None:
    server, disk = shared
    ended = server.submit(job(count=1), name="before")
    server.ended(ended)
    path = server.submit(*[job(count=1, delay_s=1.5)] * 3, name=f"runs into {fault}")
    running(server, path, 3)
    disk.fail(FAULTS[fault])
    for n in range(3):
        is_refused(submit(server, f"{fault}-{n}"))
    is_refused(submit_lines(server, 5_000))
    is_refused(requests.post(f"{server.url}{path}/cancel", timeout=30))
    is_refused(requests.delete(f"{server.url}{ended}", timeout=30))
    assert status(server, "/readyz") == 503
    assert status(server, "/healthz") == 200
    assert status(server, ended) == 200
    eventually(lambda: threads(server)["busy"] == 0, "the jobs end while nothing can be written")
    assert server.get(path)["counts"]["running"] == 3
    disk.heal()
    assert server.ended(path)["outcome"] == "succeeded"
    assert rerun(server, path) == [], "their outcomes were kept until they could be written"
    assert status(server, "/readyz") == 200
    again = submit(server, f"{fault}-0")
    assert (again.status_code, "Idempotency-Replayed" in again.headers) == (202, False)
    names = [batch["name"] for batch in server.get("/v1/batches")["items"]]
    assert names[:3] == [f"{fault}-0", f"runs into {fault}", "before"]
    assert flaws_of_file(database_of(server)) == []


@needs_compiler
@pytest.mark.parametrize(
    ("fault", "words", "known"),
    [
        ("full", "No space left", False),
        ("full", "No space left", True),
        ("read-only", "Read-only", True),
    ],
)
def test_on_a_disk_that_fails_it_refuses_to_start(
    make_server: Callable[..., Server], tmp_path: Path, fault: str, words: str, known: bool
) -> None:
    server = make_server()
    disk = Disk(tmp_path, server)
    if known:
        database_of(server).parent.mkdir()
        database = Database(database_of(server))
        database.upgrade()
        database.close()
    disk.fail(FAULTS[fault])
    server.log.write_text("")
    assert server.launch().wait(30) == 2
    said = server.log.read_text()
    assert words in said
    assert str(server.folder / "data") in said
    assert "Traceback" not in said
    assert database_of(server).exists() == known


@needs_compiler
def test_a_database_that_is_removed_is_not_replaced_by_an_empty_one(
    shared: tuple[Server, Disk],
) -> None:
    server, _ = shared
    path = server.submit(job(count=1))
    server.ended(path)
    folder, aside = database_of(server).parent, server.folder / "aside"
    folder.rename(aside)
    for n in range(2):
        is_refused(submit(server, f"removed-{n}"))
    assert status(server, "/readyz") == 503
    assert status(server, path) in (200, 503)
    assert not folder.exists()
    aside.rename(folder)
    eventually(lambda: status(server, "/readyz") == 200, "it is found again")
    assert submit(server, "removed-0").status_code == 202
    assert server.get(path)["outcome"] == "succeeded"


@needs_compiler
def test_a_crash_in_a_checkpoint_loses_nothing(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server().faulty()
    server.order(SMALL_WAL)
    disk = Disk(tmp_path, server)
    server.start()
    before = server.workers()
    disk.kill_at_write(100)
    paths = []
    while not disk.has_killed:
        paths.append(accepted(server, f"n{len(paths)}"))
    eventually(lambda: server.workers() not in ([], before), "another worker is there")
    for path in paths:
        assert server.ended(path)["outcome"] == "succeeded"
    assert flaws_of_file(database_of(server)) == []


def accepted(server: Server, name: str) -> str:
    """A batch of some hundred pages of the database."""
    jobs = [{**job(count=0, name="x" * 100), "custom_id": "y" * 200}] * 1_000
    answer, _ = submit_until_answered(server, name, *jobs)
    assert answer.status_code == 202
    return str(answer.headers["Location"])
