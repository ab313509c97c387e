"""Pages a second, ours and the peers in turn: ``python -m tests.benchmarks.scrape``.

Needs Debian's nginx-light, python3-doc and postgresql-doc-15, and in the environment of
``--python`` the peers: scrapy, aiohttp, requests, beautifulsoup4, selectolax, pycurl.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from tests.benchmarks.scrape.site import DocumentationSite
from tests.support.server import Server

NAMES = {
    "jobspool": "**jobspool over HTTP, from POST to the last result read (durable)**",
    "lesson": "the lesson: a thread for each URL, requests + Beautiful Soup",
    "scrapy": "Scrapy",
    "requests_lexbor": "requests + lexbor, 16 threads",
    "aiohttp_lexbor": "aiohttp + lexbor",
    "pycurl_lexbor": "bare pycurl + lexbor loop, 2 threads",
}

SLOW = {"lesson": 4}
"""Only every so manieth page for those that would take minutes."""


def peer(name: str, urls: list[str], python: str) -> float:
    """Pages a second of a peer, in a process of its own."""
    mine = urls[:: SLOW.get(name, 1)]
    done = subprocess.run(
        [python, "-m", "tests.benchmarks.scrape.peers", name],
        input="\n".join(mine), capture_output=True, text=True, check=True,
    )  # fmt: skip
    read, seconds = done.stdout.split()
    assert int(read) >= 0.95 * len(mine), (name, read, len(mine), done.stderr)
    return int(read) / float(seconds)


def ours(urls: list[str], port: int, workers: int) -> float:
    """Pages a second of the service: a list of URLs posted, every result read as NDJSON."""
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
                f"{server.url}/v1/batches",
                data="\n".join(urls),
                headers={"Content-Type": "text/plain"},
            )
            assert answer.status_code == 202, answer.text
            path = answer.headers["Location"]
            while (batch := server.get(f"{path}?wait=60"))["status"] != "completed":
                pass
            read = sum(line["status"] == "succeeded" for line in server.results(path))
            seconds = perf_counter() - begun
            assert read >= 0.95 * len(urls), batch
            return read / seconds
        finally:
            server.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pages", type=int, default=1_500)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--python", default=sys.executable, help="has the peers installed")
    options.add_argument("--only", nargs="*", default=list(NAMES))
    chosen = options.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in NAMES if name in chosen.only}
    with DocumentationSite(chosen.pages) as site:
        for _ in range(chosen.rounds):
            for name, found in rates.items():
                if name == "jobspool":
                    found.append(ours(site.urls, site.port, chosen.workers))
                else:
                    found.append(peer(name, site.urls, chosen.python))
        print(f"{len(site.urls)} documentation pages, median of {chosen.rounds} rounds\n")
    print("| | pages/s | range |\n|---|---:|---:|")
    for name, found in rates.items():
        middle = statistics.median(found)
        print(f"| {NAMES[name]} | {middle:,.0f} | {min(found):,.0f} to {max(found):,.0f} |")


if __name__ == "__main__":
    main()
