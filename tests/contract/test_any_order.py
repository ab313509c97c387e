"""Submit, claim, finish, expire, cancel, retry, crash: in any order, the store keeps its word.

Hypothesis makes up the order, on a real database, with several nodes and a clock that it moves.
After each step every sum that the store keeps is held against a count of its rows, and every
promise against what became of it. ``make test ARGS="--hypothesis-profile=long -k any_order"``
looks at a thousand orders instead of a few dozen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from service.store import cancels, journal, removal, store, upkeep
from tests.contract.any_order.arrivals import Arrivals
from tests.contract.any_order.ends import Ends
from tests.contract.any_order.work import Work
from tests.contract.test_store import DATABASES

# the same orders each time, and no search for the shortest that fails: a gate has to say the same
# of the same code, and soon
GATE = settings(
    max_examples=15,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    phases=[Phase.generate],
)


MOVES = {
    # more often
    "claim": 8,
    "finish": 8,
    "time_goes_by": 4,
    "submit": 3,
    "kill": 3,
    "try_a_suspect": 3,
    "fail": 2,
    "begin_anew": 2,
    "cancel_a_job": 2,
    "expire": 2,
    # less often
    "retry": 1,
    "receive_a_part": 1,
    "receive_the_rest": 1,
    "sweep": 1,
    "make_a_key": 1,
    "die": 1,
    "leave": 1,
    "beat": 1,
    "bury_the_silent": 1,
    "restart": 1,
    "cancel": 1,
    "cancel_in_part": 1,
    "finish_cancels": 1,
    "delete": 1,
    "expire_in_part": 1,
    "wake_forgotten": 1,
    "look": 1,
}


class AnyOrder(Arrivals, Work, Ends):
    # one rule: of several, Hypothesis leaves most out of most orders, to look for what only a few
    # of them do; a gate has no time for that
    @rule(
        move=st.sampled_from([name for name, n in MOVES.items() for _ in range(n)]), data=st.data()
    )
    def go_on(self, move: str, data: st.DataObject) -> None:
        getattr(self, move)(data)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done in pieces of thousands is done in twos, so that it is interrupted."""
    for place, name in ((cancels, "PIECE"), (removal, "PIECE"), (upkeep, "DUE_PIECE")):
        monkeypatch.setattr(place, name, 2)
    monkeypatch.setattr(store, "STAGE", 3)
    monkeypatch.setattr(journal, "RETRY_S", 0.001)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be: nothing here is about the disk, and there are ten thousands
    of commits."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as made:
        yield Path(made)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.usefixtures("small_pieces")
def test_in_any_order_the_store_keeps_its_word(folder: Path, name: str) -> None:
    empty = folder / "empty"
    empty.mkdir()
    database = DATABASES[name](empty)
    database.upgrade()
    database.close()
    long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(
        partial(AnyOrder, DATABASES[name], empty), settings=settings() if long else GATE
    )
