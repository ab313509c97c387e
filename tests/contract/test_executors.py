"""What every executor promises: one suite over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from threading import Barrier, Event, current_thread

import pytest

from service.engine import executors
from service.engine.executors import (
    DedicatedExecutor,
    JobExecutor,
    Place,
    PoolExecutor,
    SequentialExecutor,
)
from service.model import ClaimedBatch, ClaimedJob, Executor, PrintLock, Shift, job_key
from tests.support.waiting import eventually

SIZE = 3

EXECUTORS: dict[str, Callable[[], JobExecutor]] = {
    "pool": lambda: PoolExecutor(SIZE),
    "dedicated": lambda: DedicatedExecutor(SIZE),
    "sequential": lambda: SequentialExecutor(SIZE),
}


def place(batch: int, index: int = 0) -> Place:
    claimed = ClaimedBatch(batch, "id", Executor.POOL, PrintLock.LINE, None)
    job = ClaimedJob(job_key(batch, index), 1, "numbers", "{}", None, 1, 0, 0, None, 0, 0, claimed)
    return Place(Shift(claimed, [job]))


def end_quickly(pool: PoolExecutor, shifts: int) -> None:
    for n in range(shifts):
        one = place(n)
        pool.submit(one, lambda: None).result(5)
        pool.give_back(one)


@pytest.fixture
def all_is_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has ended counts as having ended lately."""
    monkeypatch.setattr(executors, "SOON_S", 60)


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[JobExecutor]:
    made = EXECUTORS[request.param]()
    yield made
    made.shutdown()


def test_constructing_starts_no_thread(executor: JobExecutor) -> None:
    assert executor.free == SIZE
    executor.shutdown()
    executor.shutdown()


def test_what_is_submitted_runs_on_another_thread(executor: JobExecutor) -> None:
    threads: list[object] = []
    future = executor.submit(place(1), lambda: threads.append(current_thread()))
    assert future.result(5) is None
    assert threads != [current_thread()]


def test_as_many_run_at_once_as_there_are_places(executor: JobExecutor) -> None:
    together = Barrier(SIZE, timeout=5)
    futures = [executor.submit(place(n), lambda: together.wait() and None) for n in range(SIZE)]
    assert executor.free == 0
    for future in futures:
        future.result(5)


def test_a_place_given_back_is_free_again_and_once_only(executor: JobExecutor) -> None:
    taken = place(1)
    executor.submit(taken, lambda: None).result(5)
    assert executor.free == SIZE - 1
    executor.give_back(taken)
    executor.give_back(taken)
    assert executor.free == SIZE


def test_a_thread_that_overstays_keeps_nobody_waiting_in_a_pool() -> None:
    pool, release = PoolExecutor(2), Event()
    stuck = [place(1), place(2)]
    futures = [pool.submit(one, release.wait) for one in stuck]  # type: ignore[arg-type]
    for one in stuck:
        pool.replace(one)
    assert pool.free == 2
    after = [place(3), place(4)]
    for one in after:
        pool.submit(one, lambda: None).result(5)
        pool.give_back(one)
    release.set()
    for future, one in zip(futures, stuck, strict=True):
        future.result(5)
        pool.give_back(one)
    assert pool.free == 2, "a replaced place must not come back twice"
    pool.shutdown()


def test_a_pool_replaces_no_more_threads_than_it_has_places() -> None:
    pool, release = PoolExecutor(1), Event()
    first, second = place(1), place(2)
    pool.submit(first, release.wait)  # type: ignore[arg-type]
    pool.replace(first)
    pool.submit(second, release.wait)  # type: ignore[arg-type]
    pool.replace(second)
    assert pool.free == 0
    release.set()
    pool.shutdown()


@pytest.mark.usefixtures("all_is_soon")
def test_a_pool_whose_threads_come_free_quickly_takes_as_many_shifts_ahead() -> None:
    pool, release = PoolExecutor(2), Event()
    assert pool.room == 2, "nothing has ended yet: nothing shows that a place is soon free"
    end_quickly(pool, 2)
    assert pool.room == 4
    ran: list[int] = []

    def work(one: Place) -> None:
        release.wait(5)
        ran.append(one.batch_key)
        pool.give_back(one)

    futures = [pool.submit(one, partial(work, one)) for one in map(place, range(10, 14))]
    assert (pool.free, pool.room) == (0, 0)
    release.set()
    for future in futures:
        future.result(5)
    assert sorted(ran) == [10, 11, 12, 13]
    assert pool.free == 2
    pool.shutdown()


@pytest.mark.usefixtures("all_is_soon")
def test_a_pool_asks_for_the_next_shifts_when_half_of_those_ahead_have_begun() -> None:
    pool, release = PoolExecutor(4), Event()
    end_quickly(pool, 4)
    first, *others = map(place, range(10, 18))
    pool.submit(first, lambda: None).result(5)
    for one in others:
        pool.submit(one, lambda: release.wait(5) and None)
    assert (pool.free, pool.room) == (0, 0), "four wait"
    rooms = []
    for n in (first, *others[:2]):
        pool.give_back(n)
        rooms.append(pool.room)
    assert rooms == [0, 2, 3]
    release.set()
    pool.shutdown()


@pytest.mark.usefixtures("all_is_soon")
def test_what_waits_ahead_gets_the_spare_of_a_thread_that_overstays() -> None:
    pool, release = PoolExecutor(1), Event()
    end_quickly(pool, 1)
    stuck, ahead = place(2), place(3)
    pool.submit(stuck, lambda: release.wait(60) and None)
    waiting = pool.submit(ahead, lambda: None)
    assert not waiting.done()
    assert pool.waiting == {ahead}
    pool.replace(stuck)
    assert pool.waiting == set()
    waiting.result(5)
    release.set()
    pool.shutdown()


@pytest.mark.usefixtures("all_is_soon")
def test_a_pool_that_is_shut_down_starts_nothing_that_waits_ahead() -> None:
    pool, begun, release = PoolExecutor(1), Event(), Event()
    end_quickly(pool, 1)
    last, ahead = place(2), place(3)
    running = pool.submit(last, lambda: begun.set() or (release.wait(60) and None))
    begun.wait(60)
    waiting = pool.submit(ahead, lambda: None)
    pool.shutdown()
    release.set()
    running.result(5)
    pool.give_back(last)
    assert not waiting.done()


def test_dedicated_threads_are_named_after_the_jobs_place() -> None:
    names: list[str] = []
    executor = DedicatedExecutor(SIZE)
    for index in range(SIZE):
        call = lambda: names.append(current_thread().name)  # noqa: E731
        executor.submit(place(1, index), call).result(5)
    assert names == ["Thread-1", "Thread-2", "Thread-3"]


def test_a_sequential_batch_keeps_its_thread_from_job_to_job() -> None:
    threads: list[object] = []
    executor = SequentialExecutor(SIZE)
    for index in range(4):
        one = place(1, index)
        executor.submit(one, lambda: threads.append(current_thread())).result(5)
        executor.give_back(one)
    assert len(set(threads)) == 1
    executor.retire_idle()
    (thread,) = set(threads)
    eventually(lambda: not thread.is_alive(), "its idle thread leaves")  # type: ignore[attr-defined]
    executor.shutdown()
