"""What every topic is given: the choices of the command line, and a place for data."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.findings import NotMeasured
from tests.benchmarks.parts.scratch import Scratch

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bench:
    """One run of the suite."""

    scratch: Scratch
    peers_python: Path
    """Python of the environment that the peers are installed in."""
    rounds: int
    sizes: tuple[int, ...]
    """How many no-op jobs."""
    rows: tuple[int, ...]
    """How many jobs a growing store gets."""
    seconds: float
    """How long a load is kept up."""
    peers: tuple[str, ...]
    """Only peers with one of these words in their names; all, if there are none."""
    share: float
    """How much of what slow peers can do in a minute they are given."""
    idle_s: float
    """How long idlers are watched."""
    redis_fsync: str

    def wants(self, name: str) -> bool:
        return not self.peers or any(word.lower() in name.lower() for word in self.peers)

    def say(self, text: str) -> None:
        """Progress, for whoever watches."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def in_turn(self, names: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Everyone once, then everyone again: what disturbs the machine disturbs all alike."""
        asked = [name for name in names if self.wants(name)]
        for n in range(1, self.rounds + 1):
            for name in asked:
                yield n, name


@contextmanager
def excused(absent: dict[str, str], name: str) -> Iterator[None]:
    """Whoever can't be measured is named with the reason; the others go on."""
    try:
        yield
    except (NotMeasured, AssertionError, OSError) as error:
        absent[name] = " ".join(str(error).split())[:300] or type(error).__name__
