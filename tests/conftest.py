"""What every test may use: a real service on a real file, and proof that it left nothing."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from service.api.openapi import document
from service.clock import Clock
from service.composition import Service
from service.settings import Settings, load_settings
from service.store.database import Database
from tests.support.conformance import CheckedClient
from tests.support.jobs import BEHAVIOURS
from tests.support.waiting import eventually

# pytest --hypothesis-profile=long: for a night, not for the gate
hypothesis_settings.register_profile(
    "long",
    max_examples=2_000,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """What hostile texts leave in the captured log must travel between pytest's processes."""
    report = yield
    report.sections = [(name, _utf8(text)) for name, text in report.sections]
    return report


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOBSPOOL_PORT", "JOBSPOOL_DATA_DIR", "JOBSPOOL_POOL_SIZE", "JOBSPOOL_WORKERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _schemas_made_once() -> None:
    """Of the same models, not anew for each test's service: it takes half of a start."""
    make, made = document._schemas, {}

    def schemas(models: Any, catalogue: Any) -> dict[str, Any]:
        kinds = tuple((kind.name, kind.description, kind.params_model) for kind in catalogue)
        asked = frozenset(models), kinds
        if asked not in made:
            made[asked] = make(models, catalogue)
        return dict(made[asked])

    document._schemas = schemas


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "jobspool.db"
    database = Database(path)
    database.upgrade()
    database.close()
    return path


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
def make_service(settings: Settings, empty_database: Path) -> Iterator[Callable[..., Service]]:
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
        if not wanted.database_path.exists():
            shutil.copyfile(empty_database, wanted.database_path)
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
