"""The lesson's own: a ThreadPoolExecutor in one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns

pool = ThreadPoolExecutor(16)


def noop() -> int:
    return monotonic_ns()


def run(count: int) -> list[int]:
    futures = [pool.submit(noop) for _ in range(count)]
    return [future.result() for future in futures]
