"""A pool that is held by jobs that wait, so that everything else stays queued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from tests.benchmarks.findings import percentile
from tests.benchmarks.load.caller import Caller
from tests.benchmarks.load.request import request
from tests.benchmarks.parts.ours import NOOP, Jobspool
from tests.support.waiting import eventually

POOL = 16
"""Threads of the pool: our default."""
HELD = {"type": "numbers", "params": {"count": 1, "delay_s": 3_600.0}}
BLOCK = 1_000
"""Lines that are sent at once."""
PROBES = 200


@contextmanager
def held(service: Jobspool) -> Iterator[None]:
    """No job of the pool runs inside."""
    path = service.submit([HELD] * POOL, priority=100)
    eventually(lambda: service.get(path)["counts"]["running"] == POOL, "the pool is held")
    yield
    service.cancel(path)


def lines(count: int) -> Iterator[bytes]:
    """So many no-op jobs as NDJSON, in pieces."""
    line = json.dumps(NOOP).encode() + b"\n"
    for first in range(0, count, BLOCK):
        yield line * min(BLOCK, count - first)


def asked(service: Jobspool, path: str) -> tuple[float, float]:
    """p50 and p99 of one client's requests, in ms."""
    get, took = request("GET", path), []
    with Caller(service.port) as caller:
        for _ in range(PROBES):
            begun = perf_counter()
            assert caller.ask(get).status == 200
            took.append((perf_counter() - begun) * 1000)
    return percentile(took, 50), percentile(took, 99)
