from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.scripted import Answer, Scripted


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Services with these answers; none is left behind."""
    with ExitStack() as opened:

        def script(*answers: Answer) -> Scripted:
            return opened.enter_context(Scripted(*answers))

        yield script
