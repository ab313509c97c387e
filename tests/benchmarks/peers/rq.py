"""RQ: jobs and results in Redis; a worker forks for every job."""

from __future__ import annotations

import os
from time import monotonic_ns

from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(os.environ["BENCH_REDIS"]))


def noop() -> int:
    return monotonic_ns()


def run(count: int) -> list[int]:
    jobs = queue.enqueue_many([Queue.prepare_data(noop) for _ in range(count)])
    return [job.latest_result(timeout=600).return_value for job in jobs]
