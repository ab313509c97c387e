"""Processes that die at the worst moments: nothing acknowledged is lost, nothing is done twice
without a word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import faulty
from tests.support.api import job
from tests.support.audit import flaws_of_file
from tests.support.evidence import database_of, submit_until_answered
from tests.support.server import Server


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
        (faulty.SUBMIT, 2),  # the same commit claimed it
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
