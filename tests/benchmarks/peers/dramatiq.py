"""Dramatiq: Redis is its broker and keeps its results."""

from __future__ import annotations

import os
from time import monotonic_ns

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=os.environ["BENCH_REDIS"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_REDIS"])))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def noop() -> int:
    return monotonic_ns()


def run(count: int) -> list[int]:
    sent = dramatiq.group(noop.message() for _ in range(count)).run()
    return list(sent.get_results(block=True, timeout=600_000))
