"""What is found wrong."""

from __future__ import annotations

from threading import Lock


class Findings:
    """From any thread. Told at once, since a soak is long."""

    MOST = 200

    def __init__(self) -> None:
        self._lock = Lock()
        self._said: list[str] = []  # guarded by _lock
        self.left_out = 0  # guarded by _lock

    def add(self, rule: str, evidence: str) -> None:
        text = f"{rule}: {evidence}"
        with self._lock:
            if len(self._said) >= self.MOST:
                self.left_out += 1
                return
            self._said.append(text)
        print(f"VIOLATION {text}", flush=True)

    @property
    def all(self) -> list[str]:
        with self._lock:
            more = [f"and {self.left_out} more"] if self.left_out else []
            return [*self._said, *more]
