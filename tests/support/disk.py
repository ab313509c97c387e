"""A disk below a service that fails when told to, and that tells what was asked of it.

See disk.c. It stands between the service and the kernel, so the service and SQLite meet the very
errors that they would meet on a full or broken disk, without a disk that is full or broken.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.server import Server

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="needs a C compiler for a disk that fails"
)


class Asked(NamedTuple):
    """What the disk was asked: see disk.c for the kinds."""

    kind: str
    name: str
    offset: int
    size: int
    data: bytes


class Disk:
    """The disk of one server. ``server.environment`` has to be set before it is launched."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._order = folder / "order"
        self._record = folder / "record"
        library = folder / "disk.so"
        source = Path(__file__).with_name("disk.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        server.environment |= {
            "LD_PRELOAD": str(library),
            "DISK_ROOT": str(server.folder / "data"),
            "DISK_ORDER": str(self._order),
        }
        self._server = server

    def fail(self, number: int) -> None:
        """From now on what can fail so does: ENOSPC, EROFS or EIO."""
        assert number in (errno.ENOSPC, errno.EROFS, errno.EIO)
        self._tell(str(number))

    def heal(self) -> None:
        self._order.unlink()

    def kill_at_write(self, number: int) -> None:
        """Who writes so often into the database itself is killed halfway through the last."""
        self._tell(f"kill {number}")

    @property
    def has_killed(self) -> bool:
        return not self._order.exists()

    def _tell(self, order: str) -> None:
        new = self._order.with_suffix(".new")
        new.write_text(order)
        new.rename(self._order)

    def record(self) -> None:
        """Write down what it is asked. To be called before the launch."""
        self._server.environment["DISK_RECORD"] = str(self._record)

    def asked(self) -> Iterator[Asked]:
        with self._record.open("rb") as lines:
            for line in lines:
                kind, name, offset, size = line.decode().split()
                data = lines.read(int(size)) if kind in "WS" else b""
                yield Asked(kind, name, int(offset), int(size), data)
