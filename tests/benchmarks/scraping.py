"""scrape: the table of `make bench-scrape`, taken into this report."""

from __future__ import annotations

import subprocess

from tests.benchmarks.bench import ROOT, Bench
from tests.benchmarks.findings import Finding, NotMeasured, Table


def measure(bench: Bench) -> Finding:
    command = ["make", "--silent", "bench-scrape", f"ARGS=--rounds {bench.rounds}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasured(f"make bench-scrape: {done.stderr.strip()[-250:]}")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    columns, _, *rows = [_cells(line) for line in lines if line.startswith("|")]
    notes = [line for line in lines if not line.startswith("|")]
    return Finding([Table("Scraping", columns, rows, notes)])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
