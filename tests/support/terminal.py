"""A command on a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios
from pathlib import Path
from threading import Thread
from typing import NamedTuple


class Seen(NamedTuple):
    code: int
    raw: str
    """All that was sent to the terminal."""

    @property
    def lines(self) -> list[str]:
        """Without escape sequences, as a log of it would read."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw.replace("\r\n", "\n")).splitlines()


def on_terminal(
    *command: str | Path, environment: dict[str, str], columns: int = 60, cwd: Path | None = None
) -> Seen:
    """Run a command whose input, output and errors are a terminal, to its end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    pieces: list[bytes] = []
    reader = Thread(target=_read, args=(ours, pieces))
    reader.start()
    try:
        done = subprocess.run(
            command, stdin=theirs, stdout=theirs, stderr=theirs, timeout=60, cwd=cwd,
            env={**environment, "TERM": "xterm-256color"}, check=False,
        )  # fmt: skip
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    return Seen(done.returncode, b"".join(pieces).decode())


def _read(terminal: int, pieces: list[bytes]) -> None:
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # nobody has the other side open any more
            return
        if not piece:
            return
        pieces.append(piece)
