"""A stream of jobs is written down as it comes, and not kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.api import job
from tests.support.server import Server

JOBS = 100_000
MOST_GROWTH_MIB = 100
"""A million lines were measured to take 42 MiB; as Python objects 100,000 take some 200."""


def peak_mib(server: Server) -> int:
    (worker,) = server.workers()
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def lines() -> Iterator[bytes]:
    for _ in range(JOBS // 1_000):
        yield (
            b'{"type":"numbers","params":{"count":1,"name":"a name"},"custom_id":"mine"}\n' * 1_000
        )


def test_a_long_stream_of_jobs_takes_little_memory(make_server: Callable[..., Server]) -> None:
    server = make_server(pool_size=1).start()
    busy = server.submit(job(count=1_000, delay_s=10), priority=100)
    before = peak_mib(server)
    answer = server.stream(lines())
    assert answer.status_code == 202, answer.text
    assert answer.json()["counts"]["total"] == JOBS
    assert peak_mib(server) - before < MOST_GROWTH_MIB
    assert server.get(busy)["counts"]["running"] == 1
