"""A bare Flask behind gunicorn: our version, our worker class's parent, our number of threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from tests.benchmarks.bench import ROOT, Bench
from tests.benchmarks.parts.program import Program
from tests.support.server import free_port
from tests.support.waiting import eventually

THREADS = 16
"""As many as our default."""


@contextmanager
def bare_flask(bench: Bench) -> Iterator[int]:
    """The port that it answers on."""
    folder, port = bench.scratch.folder("flask"), free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--workers", "1", "--threads", str(THREADS)),
        *("--keep-alive", "5", "--log-level", "warning", "tests.benchmarks.parts.bare:app"),
    ]
    database = {"BENCH_DATABASE": str(folder / "jobs.db")}
    with Program(command, folder, environment=database, cwd=ROOT) as program:

        def answers() -> bool:
            program.check()
            try:
                with urlopen(f"http://127.0.0.1:{port}/status", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        eventually(answers, "gunicorn answers", timeout_s=30)
        yield port
    bench.scratch.remove(folder)
