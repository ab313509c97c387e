"""Processes that die at the worst moments: nothing acknowledged is lost, nothing is done twice
without a word."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event

import pytest

from tests.support import faulty
from tests.support.api import job
from tests.support.audit import flaws_of_file
from tests.support.evidence import all_batches, database_of, looking_into, submit_until_answered
from tests.support.server import Server
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("crashing")).faulty()
    yield server.start()
    server.close()


@pytest.mark.parametrize(
    ("point", "attempts"),
    [
        (faulty.INSERT, 1),
        (faulty.SEAL, 1),
        (faulty.SUBMIT, 1),
        (faulty.CLAIM, 1),
        (faulty.CLAIMED, 2),
        (faulty.FINISH, 2),
        (faulty.FINISHED, 2),
        (faulty.ENDED, 1),
    ],
)
def test_a_crash_at_any_point_loses_nothing_and_doubles_nothing(
    server: Server, point: str, attempts: int
) -> None:
    server.order(point)
    answer, lost = submit_until_answered(server, point, job(count=1))
    assert answer.status_code == 202
    batch = server.ended(answer.headers["Location"])
    assert server.has_met(point)
    assert batch["outcome"] == "succeeded"
    (item,) = server.jobs(answer.headers["Location"])
    assert len(item["attempts"]) == attempts
    assert [batch["name"] for batch in server.get("/v1/batches")["items"]].count(point) == 1
    replayed = "Idempotency-Replayed" in answer.headers
    if point in (faulty.INSERT, faulty.SEAL, faulty.SUBMIT):
        assert (lost, replayed) == (1, point == faulty.SUBMIT)
    assert flaws_of_file(database_of(server)) == []


KILLS = 50
JOBS = 100


def test_fifty_workers_killed_at_random_under_load_lose_nothing(
    make_server: Callable[..., Server],
) -> None:
    # with the default of 3 a job that was unlucky three times would rightly be failed
    server = make_server(workers=2, pool_size=4, max_crashes=100).start()
    accepted: set[str] = set()
    over = Event()

    def client(name: str) -> None:
        for n in itertools.count():
            if over.is_set():
                return
            jobs = [job(count=1, delay_s=0.005)] * JOBS
            answer, _ = submit_until_answered(server, f"{name}-{n}", *jobs, query="?wait=30")
            assert answer.status_code in (200, 202), answer.text
            accepted.add(f"{name}-{n}")

    with ThreadPoolExecutor(4) as clients:
        load = [clients.submit(client, name) for name in "abcd"]
        try:
            kill_workers(server)
        finally:
            over.set()
        for one in load:
            one.result(60)

    def ended() -> bool:
        return all(batch["outcome"] for batch in all_batches(server))

    eventually(ended, "all that was accepted ends", timeout_s=60, every_s=0.2)
    batches = list(all_batches(server))
    assert sorted(batch["name"] for batch in batches) == sorted(accepted)
    assert {batch["counts"]["succeeded"] for batch in batches} == {JOBS}
    assert flaws_of_file(database_of(server)) == []
    with looking_into(server) as database:
        codes = "SELECT json_extract(error, '$.code'), count(*) FROM attempts GROUP BY 1"
        again = dict(database.execute(codes).fetchall())
    assert again["crashed"] > 0, "no worker had a job when it was killed: nothing was proved"
    print(f"{len(batches)} batches; attempts that did not come to their end: {again}")


def kill_workers(server: Server) -> None:
    """One after another, each after some more jobs have ended."""
    chance = Random()
    with looking_into(server) as database:

        def ended() -> int:
            return int(database.execute("SELECT sum(succeeded) FROM batches").fetchone()[0] or 0)

        for _ in range(KILLS):
            enough = ended() + chance.randrange(40)
            eventually(lambda n=enough: ended() >= n, "the work goes on", timeout_s=60)  # type: ignore[misc]
            os.kill(chance.choice(server.workers()), signal.SIGKILL)
