"""Calls of the buildah command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def buildah(*arguments: str) -> str:
    """Returns what it printed. Ends the run, with all of its output, when it fails."""
    done = subprocess.run(
        ["buildah", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nimage-test: buildah {arguments[0]} exited {done.returncode}")
    return done.stdout.strip()
