"""A program that runs beside the benchmark, and everything it starts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.benchmarks.findings import NotMeasured
from tests.benchmarks.parts.usage import begun, family

LEAVING_S = 10


class Program:
    """Runs inside ``with``; its output goes to a log in its folder. None of it is left behind."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        stop: signal.Signals = signal.SIGTERM,
        **options: Any,
    ) -> None:
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._stop = stop
        self._options = options
        self.log = folder / f"{Path(command[0]).name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def __enter__(self) -> Program:
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                    **self._options,
                )
        except FileNotFoundError:
            raise NotMeasured(f"there is no {self._command[0]}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process
        others = {pid: begun(pid) for pid in family(self.pid)[1:]}
        self._process.send_signal(self._stop)
        try:
            self._process.wait(LEAVING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(LEAVING_S)
        for pid, since in others.items():
            if begun(pid) == since:
                _kill(pid)

    def check(self) -> None:
        """Raises NotMeasured, with the end of its log, if it has ended."""
        if self._process and self._process.poll() is not None:
            raise NotMeasured(f"{Path(self._command[0]).name} ended: {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return " / ".join(line.strip() for line in lines if line.strip())[-250:]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
