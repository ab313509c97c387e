"""Huey on Redis."""

from __future__ import annotations

import os
from time import monotonic_ns

from huey import RedisHuey

huey = RedisHuey("bench", url=os.environ["BENCH_REDIS"])


@huey.task()
def noop() -> int:
    return monotonic_ns()


def run(count: int) -> list[int]:
    results = [noop() for _ in range(count)]
    return [result.get(blocking=True, preserve=True) for result in results]
