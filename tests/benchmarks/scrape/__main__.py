"""Pages a second, ours and the peers in turn: ``python -m tests.benchmarks.scrape``.

Needs Debian's nginx-light, python3-doc and postgresql-doc-15, and in the environment of
``--python`` the peers: scrapy, aiohttp, requests, beautifulsoup4, selectolax, pycurl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from tests.benchmarks.scrape.site import DocumentationSite, missing
from tests.support.server import Server

JOBSPOOL = "**jobspool over HTTP, from POST to the last result read (durable)**"
THE_SAME = "jobspool, asked for what the others read (`include`)"
BARE = "pycurl_lexbor"

PEERS = {
    "lesson": "the lesson: a thread for each URL, requests + Beautiful Soup",
    "scrapy": "Scrapy",
    "requests_lexbor": "requests + lexbor, 16 threads",
    "aiohttp_lexbor": "aiohttp + lexbor",
    BARE: "bare pycurl + lexbor loop, 2 threads",
}
NAMES = {"jobspool": JOBSPOOL, "jobspool_include": THE_SAME, **PEERS}

SLOW = {"lesson": 4}
"""Only every so manieth page for those that would take minutes."""

INCLUDE = ["title", "links", "headings"]
"""What the peers read. The description comes along; a canonical URL and a language do so, too."""


class Body(NamedTuple):
    """What is posted."""

    kind: str
    data: str


def as_text(urls: Sequence[str]) -> Body:
    """The shortest way: a list of URLs, with all the defaults."""
    return Body("text/plain", "\n".join(urls))


def as_json(urls: Sequence[str]) -> Body:
    jobs = [{"type": "scrape", "params": {"url": url, "include": INCLUDE}} for url in urls]
    return Body("application/json", json.dumps({"jobs": jobs}))


def peer(name: str, urls: Sequence[str], python: str) -> float:
    """Pages a second of a peer, in a process of its own."""
    mine = urls[:: SLOW.get(name, 1)]
    done = subprocess.run(
        [python, "-m", "tests.benchmarks.scrape.peers", name],
        input="\n".join(mine), capture_output=True, text=True, check=True,
    )  # fmt: skip
    read, seconds = done.stdout.split()
    assert int(read) >= 0.95 * len(mine), (name, read, len(mine), done.stderr)
    return int(read) / float(seconds)


def ours(body: Body, count: int, port: int, workers: int) -> float:
    """Pages a second of the service: posted, then every result read as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(
            Path(folder),
            workers=workers,
            fetch_allow_cidrs="127.0.0.0/8",
            fetch_allow_ports=port,
            host_concurrency=1000,  # it is our own host
            host_gap_s=0,
        ).start()
        try:
            begun = perf_counter()
            answer = server.session.post(
                f"{server.url}/v1/batches", data=body.data, headers={"Content-Type": body.kind}
            )
            assert answer.status_code == 202, answer.text
            *results, end = followed(server, answer.headers["Location"])
            seconds = perf_counter() - begun
            assert end["status"] == "completed", end
            read = sum(result["status"] == "succeeded" for result in results)
            assert read == count, end
            return read / seconds
        finally:
            server.close()


def followed(server: Server, path: str) -> list[dict[str, Any]]:
    """Every line of the results of a batch, as its jobs end."""
    with server.session.get(f"{server.url}{path}/results?follow=true", stream=True) as stream:
        return [json.loads(line) for line in stream.iter_lines(chunk_size=1 << 16)]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pages", type=int, default=1_500)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--python", default=sys.executable, help="has the peers installed")
    options.add_argument("--only", nargs="*", default=list(NAMES), choices=list(NAMES))
    chosen = options.parse_args()
    if wanted := missing():
        print(f"make bench-scrape needs more: apt-get install {' '.join(wanted)}", file=sys.stderr)
        return 2
    rates: dict[str, list[float]] = {name: [] for name in NAMES if name in chosen.only}
    with DocumentationSite(chosen.pages) as site:
        bodies = {"jobspool": as_text(site.urls), "jobspool_include": as_json(site.urls)}
        for _ in range(chosen.rounds):
            for name, found in rates.items():
                if body := bodies.get(name):
                    found.append(ours(body, len(site.urls), site.port, chosen.workers))
                else:
                    found.append(peer(name, site.urls, chosen.python))
    print_table(rates, len(site.urls), chosen.rounds)
    return 0


def print_table(rates: Mapping[str, Sequence[float]], pages: int, rounds: int) -> None:
    print(
        f"{pages} documentation pages, median of {rounds} rounds, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores\n"
    )
    print("| | pages/s | range | of the bare loop |\n|---|---:|---:|---:|")
    for name, found in rates.items():
        middle = statistics.median(found)
        ratio = of_the_bare_loop(found, rates.get(BARE, ()))
        print(
            f"| {NAMES[name]} | {middle:,.0f} | {min(found):,.0f} to {max(found):,.0f} | {ratio} |"
        )


def of_the_bare_loop(found: Sequence[float], bare: Sequence[float]) -> str:
    """The median of the ratios within a round: a machine may be slower in the next."""
    ratios = [one / other for one, other in zip(found, bare, strict=False)]
    return f"{statistics.median(ratios):.0%}" if ratios else ""


if __name__ == "__main__":
    sys.exit(main())
