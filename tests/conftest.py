"""What every test may use: a real service on a real file, and proof that it left nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from service.clock import Clock
from service.composition import Service
from service.settings import Settings, load_settings
from tests.support.conformance import CheckedClient
from tests.support.jobs import BEHAVIOURS
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOBSPOOL_PORT", "JOBSPOOL_DATA_DIR", "JOBSPOOL_POOL_SIZE", "JOBSPOOL_WORKERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Defaults, in a directory of the test's own, and with short waits."""
    return load_settings(
        data_dir=tmp_path / "data",
        pool_size=8,
        drain_s=2.0,
        stop_grace_s=0.3,
        retry_base_s=0.01,
        retry_max_s=0.05,
    )


@pytest.fixture
def make_service(settings: Settings) -> Iterator[Callable[..., Service]]:
    """Start a service; ``make_service(pool_size=2)`` changes settings. All are stopped.

    Whatever its test clients are answered is held against the API's description.
    """
    started: list[Service] = []

    def make(
        job_types: list[Any] | None = None, *, clock: Clock | None = None, **changes: Any
    ) -> Service:
        wanted = settings.model_copy(update=changes)
        wanted.data_dir.mkdir(parents=True, exist_ok=True)
        service = Service(wanted, clock=clock, job_types=[*BEHAVIOURS, *(job_types or [])])
        service.app.test_client_class = CheckedClient
        service.database.upgrade()
        service.start()
        started.append(service)
        return service

    before = set(threading.enumerate())
    yield make
    for service in started:
        service.stop(0.0)
        eventually(lambda s=service: s.engine.live == 0, "the registry is empty")  # type: ignore[misc]
        assert service.store.journal.pending == 0, "the journal is not empty"
    eventually(lambda: _leftover(before) == [], "no thread of the service is left")


def _leftover(before: set[threading.Thread]) -> list[str]:
    return [t.name for t in threading.enumerate() if t not in before and t.is_alive()]


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service()


@pytest.fixture
def app(service: Service) -> Flask:
    """pytest-flask makes its ``client`` of this."""
    return service.app
