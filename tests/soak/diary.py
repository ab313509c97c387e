"""What one client did and what it was told: a JSON line an act, appended as it happens."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from time import time
from typing import Any


class Diary:
    """Append-only. The client and its followers write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._file = path.open("a", encoding="utf-8")

    def note(self, act: str, **facts: Any) -> dict[str, Any]:
        entry = {"at": round(time(), 3), "act": act, **facts}
        line = json.dumps(entry, ensure_ascii=False)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
        return entry

    def close(self) -> None:
        self._file.close()

    def entries(self) -> list[dict[str, Any]]:
        with self.path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
