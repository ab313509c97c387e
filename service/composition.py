"""The one place where the parts are put together."""

from __future__ import annotations

from threading import Lock
from typing import Any

from flask import Flask

from service.api.app import create_app
from service.clock import Clock
from service.engine.engine import Engine
from service.jobs.catalogue import Catalogue, installed_job_types
from service.jobs.contract import JobType
from service.jobs.letters import Letters
from service.jobs.numbers import Numbers
from service.operations import BatchEndings, Operations
from service.settings import Settings
from service.store.database import Database
from service.store.store import Store

FLUSH_S = 5.0
"""For the journal to write its last transaction when the service stops."""


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
    ) -> None:
        self.settings = settings
        self._catalogue = Catalogue(
            [*built_in_job_types(settings), *installed_job_types(), *(job_types or [])]
        )
        clock = clock or Clock()
        endings = BatchEndings()
        readers = settings.threads + 4
        self.database = Database(settings.database_path, readers=readers)
        self.store = Store(self.database, clock, on_commit=endings.announce)
        self.engine = Engine(self.store, self._catalogue, clock, settings)
        self.operations = Operations(
            self.store, self.engine, self._catalogue, clock, settings, endings
        )
        self.app: Flask = create_app(self.operations)
        self._stopping = Lock()  # the second to stop waits for the first

    def start(self) -> None:
        """Run what is queued, accept what comes. The database must have been upgraded."""
        self.store.start()
        self.engine.start()

    def stop(self, drain_s: float | None = None) -> None:
        """Leave in good order within the drain time and about a second. Safe twice."""
        with self._stopping:
            self.engine.stop(self.settings.drain_s if drain_s is None else drain_s)
            self.store.stop(FLUSH_S)
            self._catalogue.close()


def built_in_job_types(settings: Settings) -> list[JobType[Any]]:  # noqa: ARG001
    return [Numbers(), Letters()]
