"""status: GET of a batch while the pool is full of scrapes, beside bare Flask under that load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import Bar, Chart, Finding, Goal, NotMeasured, Spread, Table
from tests.benchmarks.load.request import request
from tests.benchmarks.load.storm import Storm, crowded, storm
from tests.benchmarks.pages.corpus import DEFAULT_FOLDERS
from tests.benchmarks.parts.gunicorn import bare_flask
from tests.benchmarks.parts.ours import Jobspool, jobspool
from tests.benchmarks.scrape.site import DocumentationSite

OURS = "**jobspool**, GET of the batch that scrapes"
BESIDE = "bare Flask beside a jobspool that scrapes"

CLIENTS = (1, 8)
PAGES = 1_500
REPEATED = 40
"""So often all pages, one batch: more than can be read while it is measured."""
MOST_FAILED = 0.05
"""A few of the pages are over a bound."""
WARM_UP_S = 1.0
WANTED_MS = 50


class Measured(NamedTuple):
    storm: Storm
    pages_s: float
    """Pages that were scraped meanwhile, a second: how heavy the load was."""


Found = dict[tuple[str, int], list[Measured]]


def measure(bench: Bench) -> Finding:
    if not any(folder.is_dir() for folder in DEFAULT_FOLDERS):
        raise NotMeasured("there are no pages: apt-get install python3-doc postgresql-doc-15")
    finding = Finding()
    found: Found = defaultdict(list)
    with DocumentationSite(PAGES) as site:
        for n, name in bench.in_turn([OURS, BESIDE]):
            with excused(finding.absent, name), _scraping(bench, site) as (service, path):
                for clients in CLIENTS:
                    if name == OURS:
                        measured = _measured(bench, service, path, service.port, path, clients)
                    else:
                        with bare_flask(bench) as port:
                            measured = _measured(bench, service, path, port, "/status", clients)
                    found[name, clients].append(measured)
                    bench.say(
                        f"round {n}: {name}, {crowded(clients)}: {measured.storm.rate:,.0f}"
                        f" requests/s, p99 {measured.storm.ms(99):.1f} ms beside"
                        f" {measured.pages_s:,.0f} pages/s"
                    )
    finding.tables.append(_table(bench, found))
    finding.charts += _charts(found)
    finding.goals += _goals(found)
    return finding


@contextmanager
def _scraping(bench: Bench, site: DocumentationSite) -> Iterator[tuple[Jobspool, str]]:
    """A service whose pool is full of scrapes, and the batch's path."""
    own_site = {
        "fetch_allow_cidrs": "127.0.0.0/8",
        "fetch_allow_ports": site.port,
        "host_concurrency": 1000,
        "host_gap_s": 0,
    }
    with jobspool(bench, **own_site) as service:
        scrapes = [{"type": "scrape", "params": {"url": url}} for url in site.urls * REPEATED]
        path = service.submit(scrapes)
        yield service, path
        batch = service.get(path)
        assert batch["status"] == "running", "it had scraped all before the end of the measurement"
        counts = batch["counts"]
        assert counts["failed"] <= MOST_FAILED * counts["succeeded"], counts


def _measured(
    bench: Bench, service: Jobspool, path: str, port: int, asked: str, clients: int
) -> Measured:
    get = request("GET", asked)
    storm(port, get, clients=clients, seconds=WARM_UP_S, status=200)
    begun, before = perf_counter(), service.get(path)["counts"]["succeeded"]
    found = storm(port, get, clients=clients, seconds=bench.seconds, status=200)
    scraped = service.get(path)["counts"]["succeeded"] - before
    assert scraped, "nothing was scraped meanwhile"
    return Measured(found, scraped / (perf_counter() - begun))


def _table(bench: Bench, found: Found) -> Table:
    rows = [
        [
            name,
            str(clients),
            Spread.of(one.storm.rate for one in rounds).shown(),
            Spread.of(one.storm.ms(50) for one in rounds).shown(1),
            Spread.of(one.storm.ms(99) for one in rounds).shown(1),
            Spread.of(one.pages_s for one in rounds).shown(),
        ]
        for (name, clients), rounds in sorted(found.items(), key=lambda item: item[0][1])
    ]
    return Table(
        "Status while the pool is full of scrapes",
        ["", "clients", "requests/s", "p50 ms", "p99 ms", "pages/s scraped meanwhile"],
        rows,
        [
            f"Pages of Debian's documentation from a local nginx. For {bench.seconds:g} s each,"
            " each client asking again as soon as it is answered. jobspool may visit this host"
            " (fetch_allow_cidrs, fetch_allow_ports) as often as it likes (host_concurrency=1000,"
            f" host_gap_s=0); all else is the default. Rounds: {bench.rounds}; their median (and"
            " range)."
        ],
    )


def _charts(found: Found) -> Iterator[Chart]:
    for clients in CLIENTS:
        bars = [
            Bar(name.replace("**", ""), Spread.of(m.storm.ms(99) for m in rounds), name == OURS)
            for (name, number), rounds in found.items()
            if number == clients
        ]
        yield Chart(f"Status while the pool scrapes, {crowded(clients)}: p99", "ms", bars)


def _goals(found: Found) -> Iterator[Goal]:
    for clients in reversed(CLIENTS):
        if (OURS, clients) in found:
            p99 = Spread.of(one.storm.ms(99) for one in found[OURS, clients]).median
            yield Goal(
                f"status p99 ≤ {WANTED_MS} ms while the pool is full of scrapes,"
                f" {crowded(clients)}",
                f"{p99:.1f} ms",
                p99 <= WANTED_MS,
            )
