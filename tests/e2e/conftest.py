from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.example import install_example
from tests.support.server import Server


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers on one data directory; none is left behind."""
    made: list[Server] = []

    def make(**settings: Any) -> Server:
        made.append(Server(tmp_path, **settings))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server().start()


@pytest.fixture(scope="session")
def example_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, really built and installed by pip, in a folder for PYTHONPATH."""
    return install_example(tmp_path_factory.mktemp("site"))
