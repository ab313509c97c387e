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


class SteppedClock(Clock):
    """What a process gets that starts once the system's clock has been set by so much: the time
    since the machine started is what it was."""

    def __init__(self, by_ms: int) -> None:
        super().__init__()
        self._by_ms = by_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._by_ms


class StoppedClock(Clock):
    """It stands still unless the test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self._now_ms, self._steady_s = super().now_ms(), super().steady_s()
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return self._now_ms + self.ahead_ms

    def steady_s(self) -> float:
        return self._steady_s + self.ahead_ms / 1000
