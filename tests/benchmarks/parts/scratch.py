"""Where the data of a run lies: on a disk, for a sync to a file in memory costs nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class Scratch:
    """A temporary folder, and new folders in it. ``close`` removes all."""

    def __init__(self, fallback: Path) -> None:
        self.home = _on_a_disk(Path(tempfile.gettempdir()), fallback)
        self.home.mkdir(parents=True, exist_ok=True)
        self._root = Path(tempfile.mkdtemp(prefix="jobspool-bench-", dir=self.home))
        self._root.chmod(0o755)  # a database server runs as a user of its own
        self._made = 0

    def folder(self, name: str) -> Path:
        """A new one, empty."""
        self._made += 1
        folder = self._root / f"{self._made}-{name}"
        folder.mkdir()
        return folder

    def remove(self, folder: Path) -> None:
        """Before the end, for a large one."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        self.remove(self._root)

    def described(self) -> str:
        kind = filesystem(self.home)
        warning = ", IN MEMORY: a sync costs nothing there" if kind in IN_MEMORY else ""
        return f"{kind}{warning}; 4 KiB written and synced in {self._sync_ms():.2f} ms"

    def _sync_ms(self, times: int = 100) -> float:
        took = []
        with (self._root / "sync").open("wb", buffering=0) as file:
            for _ in range(times):
                begun = perf_counter()
                file.write(b"x" * 4096)
                os.fdatasync(file.fileno())
                took.append(perf_counter() - begun)
        return median(took) * 1000


def filesystem(path: Path) -> str:
    """The type of the file system that a path is on."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    kinds = {Path(where): kind for _, where, kind, *_ in mounts}
    real = path.resolve()
    return next((kinds[part] for part in (real, *real.parents) if part in kinds), "unknown")


def _on_a_disk(*choices: Path) -> Path:
    return next((one for one in choices if filesystem(one) not in IN_MEMORY), choices[0])
