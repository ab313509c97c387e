"""Compare the parsers: ``python -m tests.benchmarks.pages [FOLDER ...]``.

Prints how many pages agree in each field and what the others differ in. Exits with 1 if a page
of the default folders differs or is refused.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from service.jobs.extraction.extract import Parser
from tests.benchmarks.pages.compare import FIELDS, Comparison, compare
from tests.benchmarks.pages.corpus import DEFAULT_FOLDERS, pages


def main() -> int:
    """Compare and print. The exit status."""
    options = _options()
    folders = [folder for folder in options.folders if folder.is_dir()]
    compared = [compare(path) for path in pages(folders)]
    if not compared:
        print("no pages: apt-get install python3-doc postgresql-doc-15, or name a folder")
        return 2
    _print_agreement(compared)
    _print_cost(compared)
    _print_differences(compared, options.show)
    return int(any(page.differences or page.refused for page in compared))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pages", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=list(DEFAULT_FOLDERS))
    parser.add_argument("--show", type=int, default=5, help="examples of each difference")
    return parser.parse_args()


def _print_agreement(compared: Sequence[Comparison]) -> None:
    read = [page for page in compared if not page.refused]
    megabytes = sum(page.size for page in compared) / 1e6
    print(f"{len(compared)} pages, {megabytes:.1f} MB, {len(compared) - len(read)} refused")
    charsets = Counter(page.charset for page in compared).most_common()
    print("read as " + ", ".join(f"{name} {count}" for name, count in charsets) + "\n")
    print("| field | agree | differ |\n|---|--:|--:|")
    for name in FIELDS:
        differ = sum(name in page.differences for page in read)
        print(f"| {name} | {len(read) - differ} | {differ} |")
    differ = sum(bool(page.differences) for page in read)
    print(f"| **all** | **{len(read) - differ}** | **{differ}** |\n")


def _print_cost(compared: Sequence[Comparison]) -> None:
    print("| parser | ms a page | s a MB | worst page of over 100 kB, s a MB |\n|---|--:|--:|--:|")
    total = sum(page.size for page in compared)
    for parser in get_args(Parser):
        seconds = sum(page.cpu_s[parser] for page in compared)
        large = [page for page in compared if page.size > 100_000]
        worst = max((page.cpu_s[parser] / page.size * 1e6 for page in large), default=0.0)
        each_ms = seconds / len(compared) * 1e3
        print(f"| {parser} | {each_ms:.2f} | {seconds / total * 1e6:.3f} | {worst:.3f} |")
    print()


def _print_differences(compared: Sequence[Comparison], show: int) -> None:
    for page in compared:
        for parser in page.refused:
            print(f"refused by {parser}'s budget: {page.path}")
    for name in FIELDS:
        differing = [page for page in compared if name in page.differences]
        for page in differing[:show]:
            print(f"{name}: {page.path}\n    {page.differences[name]}")


if __name__ == "__main__":
    sys.exit(main())
