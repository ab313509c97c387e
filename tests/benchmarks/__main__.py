from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from tests.benchmarks import __doc__ as what
from tests.benchmarks import (
    accept,
    batches,
    growth,
    idle,
    noop,
    report,
    scraping,
    small,
    start,
    status,
    workers,
)
from tests.benchmarks.bench import ROOT, Bench, excused
from tests.benchmarks.findings import Finding
from tests.benchmarks.parts.machine import machine
from tests.benchmarks.parts.scratch import Scratch

TOPICS: dict[str, Callable[[Bench], Finding]] = {
    "noop": noop.measure,
    "small": small.measure,
    "status": status.measure,
    "start": start.measure,
    "accept": accept.measure,
    "workers": workers.measure,
    "growth": growth.measure,
    "batches": batches.measure,
    "idle": idle.measure,
    "scrape": scraping.measure,
}
NOT_UNLESS_ASKED = frozenset({"scrape"})
"""It takes minutes, and has a target of its own."""


class Extent(NamedTuple):
    """How much is measured of all that is not chosen."""

    rounds: int
    sizes: tuple[int, ...]
    rows: tuple[int, ...]
    seconds: float
    share: float
    idle_s: float


FULL = Extent(3, (1_000, 20_000, 100_000), (10_000, 100_000, 1_000_000), 6, 1, 10)
QUICK = Extent(1, (1_000, 5_000), (10_000, 50_000), 2, 0.2, 4)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing it started stays behind
    chosen = _options().parse_args()
    extent = QUICK if chosen.quick else FULL
    bench = Bench(
        scratch=Scratch(chosen.out),
        peers_python=chosen.peers_python.absolute(),
        rounds=chosen.rounds or extent.rounds,
        sizes=tuple(sorted(chosen.sizes or extent.sizes)),
        rows=tuple(sorted(chosen.rows or extent.rows)),
        seconds=chosen.seconds or extent.seconds,
        peers=tuple(chosen.peers or ()),
        share=extent.share,
        idle_s=extent.idle_s,
        redis_fsync=chosen.redis_fsync,
    )
    try:
        _measure(bench, chosen.only or [t for t in TOPICS if t not in NOT_UNLESS_ASKED], chosen.out)
    finally:
        bench.scratch.close()


def _measure(bench: Bench, topics: list[str], out: Path) -> None:
    where = machine(bench)
    print("\n".join(where), flush=True)
    findings: dict[str, Finding] = {}
    for topic in topics:
        print(f"\n{topic}", file=sys.stderr, flush=True)
        begun = perf_counter()
        findings[topic] = finding = Finding()
        with excused(finding.absent, topic):
            findings[topic] = finding = TOPICS[topic](bench)
        report.write(out, where, findings)
        print(f"\n{report.markdown(finding)}", flush=True)
        bench.say(f"{topic} took {perf_counter() - begun:.0f} s")
    print(f"{out / 'bench.md'}{_picture(bench, out)}")


def _picture(bench: Bench, out: Path) -> str:
    """Draw it; what to say of that."""
    charts, picture = out / "charts.json", out / "bench.svg"
    draw = [str(bench.peers_python), "-m", "tests.benchmarks.plot", str(charts), str(picture)]
    try:
        done = subprocess.run(draw, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError as error:
        return f" (no picture: {error})"
    if done.returncode:
        return f" (no picture: {done.stderr.strip().splitlines()[-1]})"
    return f", {picture}"


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="make bench", description=what, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("--quick", action="store_true", help="one round of everything, small")
    add("--only", nargs="+", choices=TOPICS, metavar="TOPIC", help=f"of {', '.join(TOPICS)}")
    add("--peers", nargs="+", metavar="WORD", help="only those with one of these in their name")
    add("--rounds", type=int, help="how often each is measured (3)")
    add("--sizes", nargs="+", type=int, metavar="JOBS", help="of noop (1000 20000 100000)")
    add("--rows", nargs="+", type=int, metavar="JOBS", help="of growth (10000 100000 1000000)")
    add("--seconds", type=float, help="how long a load is kept up (6)")
    add("--redis-fsync", choices=("always", "everysec", "no"), default="everysec")
    add("--out", type=Path, default=ROOT / "build" / "bench", help="where the report goes")
    add("--peers-python", type=Path, default=ROOT / "build" / "bench-peers" / "bin" / "python")
    return options


if __name__ == "__main__":
    main()
