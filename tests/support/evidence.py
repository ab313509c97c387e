"""What became of a batch, by what its clients can see and by what its database says."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.server import Server
from tests.support.waiting import eventually


def running(server: Server, path: str, count: int = 1) -> None:
    eventually(lambda: server.get(path)["counts"]["running"] >= count, "jobs run")


def ended_at_least(server: Server, path: str, count: int) -> None:
    eventually(lambda: server.get(path)["counts"]["succeeded"] >= count, f"{count} have ended")


def each_ended_once(server: Server, path: str, total: int) -> None:
    lines = server.results(path)
    assert len(lines) == total
    assert Counter(line["status"] for line in lines) == {"succeeded": total}
    assert len({line["seq"] for line in lines}) == total


def rerun(server: Server, path: str) -> list[Any]:
    """The jobs of more than one attempt."""
    return [item for item in server.jobs(path) if len(item["attempts"]) > 1]


def all_batches(server: Server) -> Iterator[Any]:
    page: str | None = "/v1/batches?limit=1000"
    while page:
        answer = server.get(page)
        yield from answer["items"]
        page = answer["next"]


def database_of(server: Server) -> Path:
    return server.folder / "data" / "jobspool.db"


@contextmanager
def looking_into(server: Server) -> Iterator[sqlite3.Connection]:
    """Its database, to read: who asks the service may meet a worker that can't answer."""
    with closing(sqlite3.connect(f"file:{database_of(server)}?mode=ro", uri=True)) as connection:
        yield connection


def submit_until_answered(
    server: Server,
    key: str,
    *jobs: Any,
    query: str = "",
    session: requests.Session | None = None,
) -> tuple[requests.Response, int]:
    """As a client does that has lost its answer; and how often it lost it.

    Without a session, on a connection of its own each time.
    """
    lost = 0
    while True:
        try:
            answer = (session or requests).post(
                f"{server.url}/v1/batches{query}",
                json={"jobs": jobs, "name": key},
                headers={"Idempotency-Key": key.replace(" ", "-")},
                timeout=60,
            )
            return answer, lost
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            lost += 1
