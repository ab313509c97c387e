"""Surprises that come by the million, told a few times."""

from __future__ import annotations

from threading import Lock
from time import monotonic


class Surprises:
    """Says when one of a kind is worth a line: the first, then one in ``every_s`` seconds."""

    MOST_KINDS = 1_000

    def __init__(self, every_s: float = 60.0) -> None:
        self._every_s = every_s
        self._lock = Lock()
        self._untold: dict[str, int] = {}  # by kind; job threads write; guarded by _lock
        self._due: dict[str, float] = {}  # as _untold

    def untold(self, kind: str) -> int | None:
        """None: keep quiet. Else how many of the kind were kept quiet about since the last."""
        now = monotonic()
        with self._lock:
            if len(self._due) >= self.MOST_KINDS and kind not in self._due:
                self._due.clear()
                self._untold.clear()
            if now < self._due.get(kind, now):
                self._untold[kind] = self._untold.get(kind, 0) + 1
                return None
            self._due[kind] = now + self._every_s
            return self._untold.pop(kind, 0)
