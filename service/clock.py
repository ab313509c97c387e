"""Time that does not jump.

Wall time is read once, at construction; from then on it advances with a clock that nobody
sets, so a stepped system clock can neither stretch a job nor expire a batch.
"""

from __future__ import annotations

import time
from pathlib import Path

# Linux counts suspended time in BOOTTIME and not in MONOTONIC; elsewhere MONOTONIC has to do.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """The service's clock. Tests give one whose time they move."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.clock_gettime_ns(_STEADY)

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return (self._offset_ns + time.clock_gettime_ns(_STEADY)) // 1_000_000

    def steady_s(self) -> float:
        """Seconds since the machine started: the same for all its processes."""
        return time.clock_gettime(_STEADY)


def boot_id() -> str:
    """Names this start of the machine; ``steady_s`` of two different ones do not compare."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "unknown"
