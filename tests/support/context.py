"""A JobContext for jobs that run without an engine."""

from __future__ import annotations

import math
from collections.abc import Callable


class Job:
    """Keeps what was printed and charged; ``stop`` is asked by ``check`` and may raise."""

    job_id = "batch.0"
    attempt = 1

    def __init__(
        self, remaining_s: float = math.inf, stop: Callable[[], None] = lambda: None
    ) -> None:
        self.lines: list[str] = []
        self.gap_s: float | None = None
        self.charged_cpu_s = 0.0
        self._remaining_s = remaining_s
        self._stop = stop

    def print(self, text: str) -> None:
        self.lines.append(text)

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a scrape never sleeps")

    def check(self) -> None:
        self._stop()

    def charge_cpu(self, seconds: float) -> None:
        self.charged_cpu_s += seconds

    def keep_gap(self, seconds: float) -> None:
        self.gap_s = seconds

    def remaining_s(self) -> float:
        return self._remaining_s
