"""A clock whose time the test moves."""

from __future__ import annotations

from service.clock import Clock


class MovedClock(Clock):
    """As much ahead of the real one as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms

    def steady_s(self) -> float:
        return super().steady_s() + self.ahead_ms / 1000
