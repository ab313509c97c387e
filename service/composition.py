"""The one place where the parts are put together."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from threading import Lock
from typing import Any

from flask import Flask

from service import __version__
from service.api.app import create_app
from service.clock import Clock
from service.cores import Cores
from service.engine.engine import Engine
from service.errors import SettingsInvalid, StartRefused
from service.fetch.address import AddressPolicy
from service.fetch.address_text import parse_cidrs, parse_ports
from service.fetch.client import GuardedClient
from service.fetch.policy import FetchPolicy, user_agent
from service.fetch.robots import RobotsCache
from service.jobs.catalogue import Catalogue, installed_job_types
from service.jobs.contract import JobType
from service.jobs.extraction.readers import PageReaders
from service.jobs.letters import Letters
from service.jobs.numbers import Numbers
from service.jobs.scrape import Scrape
from service.metrics.metrics import Metrics
from service.operations.news import BatchNews
from service.operations.operations import Operations
from service.operations.parts import Parts, Seats
from service.settings import Settings
from service.store.database import Database
from service.store.hosts import HostRules
from service.store.store import Store

FLUSH_S = 0.5
"""For the journal to write its last transaction when the service stops."""


class Workshop:
    """What jobs run with: their types, and what these share. Starts nothing."""

    def __init__(
        self,
        settings: Settings,
        more: list[JobType[Any]],
        *,
        readers: int,
        cores: Cores | None = None,
    ) -> None:
        self._client = GuardedClient(fetch_policy(settings))
        self._readers = PageReaders(readers, cores)
        scrape = Scrape(self._client, RobotsCache(self._client), self._readers)
        self.catalogue = Catalogue([Numbers(), Letters(), scrape, *installed_job_types(), *more])

    def close(self) -> None:
        self.catalogue.close()
        self._client.close()
        self._readers.close()


class Service:
    """One process of the service. The constructor starts nothing and opens nothing.

    Build it after a fork, never before: threads and database connections do not survive one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        job_types: list[JobType[Any]] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.settings = settings
        # two: while one is handed its next page, the other has a core's work
        readers = settings.page_readers or 2 * shared_cores(settings.workers)
        self.cores = Cores()
        self._workshop = Workshop(settings, job_types or [], readers=readers, cores=self.cores)
        catalogue = self._workshop.catalogue
        self.metrics = metrics or Metrics()
        self.metrics.know(job_type.name for job_type in catalogue)
        clock = clock or Clock()
        news = BatchNews()
        self.database = Database(settings.database_path, readers=settings.threads + 4)
        self.store = Store(
            self.database,
            clock,
            host_rules(settings),
            on_commit=news.announce,
            measure=self.metrics.committed,
        )
        self.engine = Engine(self.store, catalogue, clock, settings, self.metrics, self.cores)
        seats = Seats(settings.threads)
        self.operations = Operations(
            Parts(self.store, self.engine, catalogue, clock, settings, news, seats)
        )
        self.app: Flask = create_app(self.operations, self.metrics)
        self._changing = Lock()  # starting and stopping wait for each other

    def start(self) -> None:
        """Run what is queued, accept what comes. The database must have been upgraded."""
        with self._changing:
            self.store.start()
            self.engine.start()

    def stop(self, drain_s: float | None = None) -> None:
        """Leave in good order within the drain time and about a second. Safe twice."""
        self.engine.drain()
        with self._changing:
            try:
                self.engine.stop(self.settings.drain_s if drain_s is None else drain_s)
            finally:
                self.store.stop(FLUSH_S)
                self._workshop.close()


def host_rules(settings: Settings) -> HostRules:
    return HostRules(settings.host_concurrency, int(settings.host_gap_s * 1000))


def shared_cores(processes: int) -> int:
    """How many of the machine's cores there are for each of so many processes; one at least."""
    return max(1, len(os.sched_getaffinity(0)) // processes)


def fetch_policy(settings: Settings) -> FetchPolicy:
    """Raises SettingsInvalid, naming every setting that can't be read, and StartRefused if the
    address table does not refuse what it must."""
    flaws: list[str] = []

    def read(parse: Callable[[str], Any], name: str) -> Any:
        try:
            return parse(getattr(settings, name))
        except ValueError as error:
            flaws.append(f"JOBSPOOL_{name.upper()}: {error}")
            return None

    allow = read(parse_cidrs, "fetch_allow_cidrs")
    deny = read(parse_cidrs, "fetch_deny_cidrs")
    ports = read(parse_ports, "fetch_allow_ports")
    if not (settings.fetch_contact.isascii() and settings.fetch_contact.isprintable()):
        flaws.append("JOBSPOOL_FETCH_CONTACT: must be printable ASCII, it is sent as a header")
    flaws += _flaws_of_ca_file(settings.fetch_ca_file)
    if flaws:
        raise SettingsInvalid("settings are not valid:\n  " + "\n  ".join(flaws))
    addresses = AddressPolicy(
        allow_cidrs=allow, deny_cidrs=deny, ports=ports, own_ports=frozenset({settings.port})
    )
    try:
        addresses.self_test()
    except RuntimeError as error:
        raise StartRefused(f"the address policy is broken: {error}") from error
    return FetchPolicy(
        addresses=addresses,
        total_s=settings.fetch_timeout_s,
        connect_s=settings.fetch_connect_s,
        dns_s=settings.fetch_dns_s,
        max_body_bytes=settings.fetch_max_body_bytes,
        max_wire_bytes=settings.fetch_max_wire_bytes,
        max_header_bytes=settings.fetch_max_header_bytes,
        max_redirects=settings.fetch_max_redirects,
        allow_https_downgrade=settings.fetch_allow_https_downgrade,
        user_agent=user_agent(__version__, settings.fetch_contact),
        ca_file=settings.fetch_ca_file or None,
    )


def _flaws_of_ca_file(path: str) -> list[str]:
    """A bundle that can't be read would fail every https page."""
    if not path:
        return []
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        return [f"JOBSPOOL_FETCH_CA_FILE: {path} is no PEM bundle that can be read: {error}"]
    return []
