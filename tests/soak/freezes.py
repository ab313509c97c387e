"""When processes were frozen: what they should have noticed then, they notice later."""

from __future__ import annotations


class Freezes:
    """Times as ``time.time`` tells them. The faults add, whoever examines reads."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def add(self, begun: float, ended: float) -> None:
        self._spans.append((begun, ended))

    def within(self, begun: float, ended: float) -> float:
        """For how many seconds of this time some process was frozen."""
        return sum(max(0.0, min(ended, b) - max(begun, a)) for a, b in self._spans)
