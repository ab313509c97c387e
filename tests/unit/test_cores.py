"""On which cores the threads of a process run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service import cores as module
from service.cores import ODDS, Cores
from tests.support.cores import ALL, free_all_threads, needs_cores

pytestmark = needs_cores


@pytest.fixture(autouse=True)
def _free_again() -> Iterator[None]:
    yield
    free_all_threads()


@pytest.fixture
def waiting_thread() -> Iterator[threading.Thread]:
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    yield thread
    leave.set()
    thread.join()


def cores_of(thread: threading.Thread) -> set[int]:
    assert thread.native_id
    return os.sched_getaffinity(thread.native_id)


def seen_by(call: Callable[[], object] = lambda: None) -> set[int]:
    """The cores of a new thread after a call of its own."""
    found: list[set[int]] = []

    def look() -> None:
        call()
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


class Stat:
    """A /proc/stat whose cores are as busy as is told, in seconds since the last look."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stat"
        self.busy_s = dict.fromkeys(ALL, 0.0)
        self.more({})

    def more(self, busy_s: dict[int, float]) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        lines = ["cpu 9 9 9 9 9 9 9 0 0 0"]
        for core in self.busy_s:
            self.busy_s[core] += busy_s.get(core, 0.0)
            busy = int(self.busy_s[core] * ticks)
            lines.append(f"cpu{core} {busy} 777 0 5 5 0 0 0 0 0")
        self.path.write_text("\n".join([*lines, "intr 1 2 3", "ctxt 5"]))


@pytest.fixture
def stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stat:
    """That is looked at as often as is asked, and moves whenever it may."""
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    monkeypatch.setattr(module, "ODDS", 1.0)
    return Stat(tmp_path)


def test_it_keeps_to_none_until_it_is_told() -> None:
    cores = Cores()
    cores.use(one=True)
    cores.look()
    assert os.sched_getaffinity(0) == ALL


def test_all_threads_share_a_core_once_it_is_told(waiting_thread: threading.Thread) -> None:
    Cores().keep_to_one()
    (mine,) = os.sched_getaffinity(0)
    assert cores_of(waiting_thread) == {mine}
    assert seen_by() == {mine}


def test_as_many_processes_as_cores_keep_to_one_each_and_more_to_none() -> None:
    Cores().keep_to_one(len(ALL) + 1)
    assert os.sched_getaffinity(0) == ALL
    Cores().keep_to_one(len(ALL))
    assert len(os.sched_getaffinity(0)) == 1


def test_a_thread_that_needs_all_cores_gets_them_and_gives_them_back() -> None:
    cores = Cores()
    cores.keep_to_one()

    def to_and_fro() -> None:
        cores.use(one=False)
        assert os.sched_getaffinity(0) == ALL
        cores.use(one=True)

    assert len(seen_by(to_and_fro)) == 1
    assert seen_by(lambda: cores.use(one=False)) == ALL
    assert len(os.sched_getaffinity(0)) == 1


def test_a_process_that_is_started_may_use_all_cores() -> None:
    cores = Cores()
    cores.keep_to_one()
    with cores.all_for_a_child():
        child = subprocess.run(
            [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert child.stdout.strip() == str(sorted(ALL))
    assert len(os.sched_getaffinity(0)) == 1


def test_it_moves_from_a_core_that_others_crowd_to_the_calmest(
    stat: Stat, waiting_thread: threading.Thread
) -> None:
    cores = Cores(stat.path)
    cores.keep_to_one()
    (home,) = os.sched_getaffinity(0)
    cores.look()
    stat.more(dict.fromkeys(ALL, 1_000.0))
    cores.look()
    assert os.sched_getaffinity(0) == {home}, "it is no better elsewhere"
    stat.more({core: 1_000.0 for core in ALL if core != home})
    cores.look()
    assert os.sched_getaffinity(0) == {home}, "it is better here"
    calm = max(ALL - {home})
    stat.more({core: 1_000.0 for core in ALL if core != calm})
    cores.look()
    assert os.sched_getaffinity(0) == {calm}
    assert cores_of(waiting_thread) == {calm}
    assert seen_by(lambda: cores.use(one=True)) == {calm}


def test_processes_of_different_places_never_meet(stat: Stat) -> None:
    own = []
    for place, cores in enumerate([Cores(stat.path), Cores(stat.path)]):
        cores.keep_to_one(2, place)
        cores.look()
        been: set[int] = set()
        for _ in ALL:
            (home,) = os.sched_getaffinity(0)
            been.add(home)
            stat.more({home: 1_000.0})
            cores.look()
        own.append(been)
    first, second = own
    assert not first & second


def test_of_services_that_crowd_each_other_some_stay(
    stat: Stat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ODDS", ODDS)
    cores = Cores(stat.path)
    cores.keep_to_one()
    cores.look()
    found = set()
    for _ in range(200):  # that all go one way has odds of 2 to 2**200
        (home,) = os.sched_getaffinity(0)
        stat.more({home: 1_000.0})
        cores.look()
        found.add(os.sched_getaffinity(0) == {home})
    assert found == {True, False}


def test_a_thread_with_all_cores_keeps_them_through_a_move(
    stat: Stat,
) -> None:
    cores = Cores(stat.path)
    cores.keep_to_one()
    (home,) = os.sched_getaffinity(0)

    def crowd() -> None:
        cores.use(one=False)
        cores.look()
        stat.more({home: 1_000.0})
        cores.look()

    assert seen_by(crowd) == ALL
    assert os.sched_getaffinity(0) != {home}


@pytest.mark.parametrize(("name", "found"), [("one core", {0}), ("no lock", ALL)])
def test_where_it_gains_nothing_it_keeps_to_none(
    monkeypatch: pytest.MonkeyPatch, name: str, found: set[int]
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: name != "no lock", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: found)
    cores = Cores()
    monkeypatch.undo()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "_is_gil_enabled", lambda: name != "no lock", raising=False)
        cores.keep_to_one()
    assert os.sched_getaffinity(0) == ALL


def test_where_it_is_forbidden_everything_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(task: int, cores: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    cores = Cores()
    cores.keep_to_one()
    cores.use(one=False)
    cores.use(one=True)
    with cores.all_for_a_child():
        pass
    monkeypatch.undo()
    assert os.sched_getaffinity(0) == ALL
