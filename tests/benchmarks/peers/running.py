"""A peer with its workers started and warm."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

from tests.benchmarks.bench import ROOT, Bench
from tests.benchmarks.findings import NotMeasured
from tests.benchmarks.parts.postgres import Postgres
from tests.benchmarks.parts.program import Program
from tests.benchmarks.parts.redis import Redis
from tests.benchmarks.parts.usage import family
from tests.benchmarks.peers.roster import HERE, Peer
from tests.support.server import free_port

WARM_UP = 100
WARM_UP_S = 60.0
SLOWEST = 10
"""A peer that does fewer jobs a second is given up."""


class Run(NamedTuple):
    seconds: float
    """From submit to all results known."""
    start_ns: int | None
    """From submit to the start of the first job; None if the peer does not tell."""


class Running:
    """Ready to run jobs."""

    def __init__(
        self, driver: subprocess.Popen[str], errors: Path, programs: list[Program]
    ) -> None:
        self._driver = driver
        self._errors = errors
        self._programs = programs

    def run(self, count: int, timeout_s: float | None = None) -> Run:
        assert self._driver.stdin
        self._driver.stdin.write(f"{count}\n")
        self._driver.stdin.flush()
        answer = self.answer(timeout_s or 30 + count / SLOWEST)
        return Run(answer["seconds"], answer["start_ns"])

    def answer(self, timeout_s: float) -> Any:
        """The driver's next line. Raises NotMeasured, with what its workers say."""
        assert self._driver.stdout
        timer = Timer(timeout_s, self._driver.kill)
        timer.start()
        try:
            line = self._driver.stdout.readline()
        finally:
            timer.cancel()
        if line:
            return json.loads(line)
        for program in self._programs:
            program.check()
        raise NotMeasured(self._complaint() or f"no answer in {timeout_s:.0f} s: {self._words()}")

    def pids(self) -> list[int]:
        """All that waits for jobs: workers, and the server behind them."""
        return [pid for program in self._programs for pid in family(program.pid)]

    def _complaint(self) -> str:
        """The client's error, if it had one."""
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _words(self) -> str:
        return " / ".join(program.last_words() for program in self._programs) or "it said nothing"


@contextmanager
def running(bench: Bench, peer: Peer) -> Iterator[Running]:
    """Raises NotMeasured if the peer can't be had."""
    folder = bench.scratch.folder(peer.module)
    with ExitStack() as stack:
        stack.callback(bench.scratch.remove, folder)
        own = {
            "PYTHONPATH": str(ROOT),
            "BENCH_FOLDER": str(folder),
            "BENCH_PORT": str(free_port()),
            **peer.environment,
        }
        programs = []
        if server := _server(bench, peer):
            stack.enter_context(server)
            programs.append(server.program)
            own |= server.environment
        if peer.prepare:
            _prepare(bench, peer, own)
        if peer.workers:
            command = _command(bench, peer, own)
            programs.append(stack.enter_context(Program(command, folder, environment=own)))
        errors = folder / "client.log"
        driver = stack.enter_context(_driver(bench, peer, own, errors))
        ready = Running(driver, errors, programs)
        ready.answer(WARM_UP_S)
        ready.run(WARM_UP, WARM_UP_S)
        yield ready


def _server(bench: Bench, peer: Peer) -> Redis | Postgres | None:
    if peer.needs == "redis":
        return Redis(bench.scratch.folder("redis"), bench.redis_fsync)
    if peer.needs == "postgres":
        return Postgres(bench.scratch.folder("postgres"))
    return None


def _command(bench: Bench, peer: Peer, own: dict[str, str]) -> list[str]:
    filled = peer.workers.format(port=own["BENCH_PORT"], redis=own.get("BENCH_REDIS"))
    program, *flags = filled.split()
    path = bench.peers_python.parent / program
    if not path.exists():
        raise NotMeasured(f"{program} is not installed in {bench.peers_python.parent.parent}")
    # not by the script's first line, which can't name a path that has a space in it
    return [str(bench.peers_python), str(path), *flags]


@contextmanager
def _driver(
    bench: Bench, peer: Peer, own: dict[str, str], errors: Path
) -> Iterator[subprocess.Popen[str]]:
    with errors.open("wb") as log:
        driver = subprocess.Popen(
            [str(bench.peers_python), "-m", f"{HERE}.driver", peer.module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            env={**os.environ, **own},
        )  # fmt: skip
    try:
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def _prepare(bench: Bench, peer: Peer, own: dict[str, str]) -> None:
    code = f"from {HERE}.{peer.module} import {peer.prepare} as prepare; prepare()"
    done = subprocess.run(
        [str(bench.peers_python), "-c", code],
        env={**os.environ, **own}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotMeasured(done.stderr.strip().splitlines()[-1])
