"""A PostgreSQL of our own, empty, with the defaults (every commit is synced)."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.benchmarks.findings import NotMeasured
from tests.benchmarks.parts.program import Program
from tests.support.server import free_port
from tests.support.waiting import eventually

USER = "postgres"


class Postgres:
    """It refuses to run as root: then it runs as the user that Debian's package makes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._as = _unprivileged()
        self.port = free_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/{USER}"
        flags = ["-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(folder)]
        self.program = Program(
            [binary("postgres"), *flags], folder, stop=signal.SIGINT, cwd=folder, **self._as
        )

    def __enter__(self) -> Postgres:
        if self._as:
            shutil.chown(self._folder, USER, USER)
        made = subprocess.run(
            [binary("initdb"), "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8"],
            capture_output=True, text=True, check=False, cwd=self._folder, **self._as,
        )  # fmt: skip
        if made.returncode:
            raise NotMeasured(f"initdb: {made.stderr}")
        self.program.__enter__()
        eventually(self._answers, "PostgreSQL answers", timeout_s=30)
        return self

    def _answers(self) -> bool:
        self.program.check()
        ask = [binary("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        return subprocess.run(ask, check=False).returncode == 0

    @property
    def environment(self) -> dict[str, str]:
        return {"BENCH_POSTGRES": self.url}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.program.__exit__(kind, error, trace)


def _unprivileged() -> dict[str, Any]:
    """How to start a process that is not root."""
    if os.getuid() != 0:
        return {}
    try:
        group = pwd.getpwnam(USER).pw_gid
    except KeyError:
        raise NotMeasured(f"PostgreSQL does not run as root, and there is no user {USER}") from None
    return {"user": USER, "group": group, "extra_groups": []}


def binary(name: str) -> str:
    """On the path, or where Debian hides it."""
    hidden = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(hidden[-1]) if hidden else None)
    if found is None:
        raise NotMeasured(f"PostgreSQL is not installed (no {name}): apt-get install postgresql")
    return found
