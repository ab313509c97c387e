"""Celery: Redis is its broker and keeps its results."""

from __future__ import annotations

import os
from time import monotonic_ns

from celery import Celery, group

app = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
# its guide: "If you have many tasks with a short duration […] this number should be large"
app.conf.worker_prefetch_multiplier = 64
app.conf.broker_connection_retry_on_startup = True


@app.task
def noop() -> int:
    return monotonic_ns()


def run(count: int) -> list[int]:
    return list(group(noop.s() for _ in range(count)).apply_async().get())
