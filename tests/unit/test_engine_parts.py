"""The engine's small parts, alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest

from service.engine import shifts
from service.engine.appetite import Appetite
from service.engine.ensemble import Ensembles
from service.engine.executors import Place
from service.engine.liveness import LifeLock, is_dead
from service.engine.registry import FutureRegistry, LiveJob
from service.engine.shifts import LONGEST, QUICK_S, LiveShift, Pace
from service.engine.token import StopToken
from service.errors import AlreadyLive, JobCancelled, JobHandedBack, JobTimedOut, Saturated
from service.model import (
    Capacity,
    ClaimedBatch,
    ClaimedJob,
    Executor,
    PrintLock,
    Shift,
    job_key,
)
from service.store.claims import Claim, Taken


def live(index: int = 0) -> LiveJob:
    batch = ClaimedBatch(1, "id", Executor.POOL, PrintLock.LINE, None)
    job = ClaimedJob(job_key(1, index), 1, "numbers", "{}", None, 1, 0, 0, None, 0, 0, batch)
    place = Place(Shift(batch, [job]))
    token = StopToken(60)
    return LiveJob(job, 1, place, token, Ensembles().join(batch))


# --- token ----------------------------------------------------------------------------------


def test_the_first_reason_to_stop_is_the_one() -> None:
    token = StopToken(60)
    token.check()
    token.stop(JobCancelled)
    token.stop(JobHandedBack)
    with pytest.raises(JobCancelled):
        token.check()


def test_a_sleep_ends_when_told_to_stop() -> None:
    token = StopToken(60)
    timer = threading.Timer(0.05, token.stop, [JobCancelled])
    timer.start()
    begun = monotonic()
    with pytest.raises(JobCancelled):
        token.sleep(30)
    assert monotonic() - begun < 10
    timer.join()


def test_a_sleep_ends_at_the_deadline() -> None:
    token = StopToken(0.05)
    assert not token.timed_out, "the time before it begins does not count"
    token.begin()
    with pytest.raises(JobTimedOut):
        token.sleep(30)
    assert token.timed_out
    assert token.remaining_s() == 0


# --- registry -------------------------------------------------------------------------------


def test_a_job_is_reserved_once() -> None:
    registry = FutureRegistry(capacity=2)
    registry.reserve(live())
    with pytest.raises(AlreadyLive):
        registry.reserve(live())


def test_the_registry_has_a_capacity_that_lost_jobs_do_not_fill() -> None:
    registry = FutureRegistry(capacity=1)
    first = live(0)
    registry.reserve(first)
    with pytest.raises(Saturated):
        registry.reserve(live(1))
    assert registry.give_up(first)
    registry.reserve(live(1))


def test_only_one_of_giving_up_and_returning_counts() -> None:
    registry = FutureRegistry(capacity=1)
    one = live()
    registry.reserve(one)
    registry.release(one)
    assert not registry.give_up(one)
    assert len(registry) == 0


def test_a_late_return_does_not_release_the_jobs_next_run() -> None:
    registry = FutureRegistry(capacity=1)
    late, again = live(), live()
    registry.reserve(late)
    registry.give_up(late)
    registry.reserve(again)
    registry.release(late)
    assert len(registry) == 1


def test_stop_reaches_only_the_named_jobs() -> None:
    registry = FutureRegistry(capacity=2)
    one, other = live(0), live(1)
    registry.reserve(one)
    registry.reserve(other)
    assert registry.stop([one.job.key, 999], JobCancelled) == 1
    other.token.check()
    with pytest.raises(JobCancelled):
        one.token.check()


# --- shifts ---------------------------------------------------------------------------------


def test_each_job_of_a_shift_is_either_taken_or_recalled() -> None:
    jobs = [live(n) for n in range(2_000)]
    shift = LiveShift(jobs[0].place, None, jobs)  # type: ignore[arg-type]
    taken: list[LiveJob] = []

    def take() -> None:
        while one := shift.take():
            taken.append(one)

    thread = threading.Thread(target=take)
    thread.start()
    recalled = shift.recall()
    thread.join()
    assert len(taken) + len(recalled) == 2_000
    assert {id(one) for one in taken}.isdisjoint(id(one) for one in recalled)


def test_a_shift_is_stalled_if_its_thread_takes_no_job_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [live(n) for n in range(2)]
    shift = LiveShift(jobs[0].place, None, jobs)  # type: ignore[arg-type]
    moment = monotonic()
    monkeypatch.setattr(shifts, "monotonic", lambda: moment + shifts.RECALL_S * 2)
    assert shift.stalled
    shift.take()
    assert not shift.stalled, "it has just begun one"
    moment += shifts.RECALL_S * 2
    assert shift.stalled
    shift.take()
    moment += shifts.RECALL_S * 2
    assert not shift.stalled, "it has nothing to give back"


# --- the appetite ---------------------------------------------------------------------------


class Places:
    """An executor of which only the room matters here."""

    def __init__(self, room: int) -> None:
        self.room = room


def hungry_for(pool: int) -> tuple[Appetite, Places]:
    places = Places(pool)
    executors = {kind: places if kind is Executor.POOL else Places(0) for kind in Executor}
    return Appetite(cast(Any, executors)), places


def claim_of(shifts: int) -> Claim:
    batch = ClaimedBatch(1, "b", Executor.POOL, PrintLock.LINE, None)
    row = [1, 1, "numbers", "{}", None, 1, 0, 0, None, 0]
    return Claim([Taken(batch, [row] * shifts, shifts, None)], more=False)


def test_a_place_is_asked_for_once_until_its_shift_has_begun() -> None:
    appetite, places = hungry_for(pool=3)
    asked = appetite.ask(set(Executor))
    assert asked == Capacity(pool=3, dedicated=0, sequential=0)
    assert appetite.ask(set(Executor)) is None
    appetite.answered(asked, claim_of(2))
    assert appetite.ask({Executor.POOL}) == Capacity(pool=1, dedicated=0, sequential=0)
    appetite.answered(Capacity(pool=1, dedicated=0, sequential=0), None)
    places.room -= 1
    appetite.begun(Executor.POOL)
    assert appetite.ask({Executor.POOL}) == Capacity(pool=1, dedicated=0, sequential=0)


def test_nothing_is_asked_for_executors_that_are_not_named() -> None:
    appetite, _ = hungry_for(pool=3)
    assert appetite.ask({Executor.DEDICATED}) is None


@pytest.mark.parametrize(
    ("claim", "sated"),
    [(claim_of(0), True), (claim_of(2), True), (claim_of(3), False), (None, False)],
)
def test_it_is_sated_by_a_claim_that_leaves_places_until_there_is_news(
    claim: Claim | None, *, sated: bool
) -> None:
    appetite, _ = hungry_for(pool=3)
    asked = appetite.ask({Executor.POOL})
    assert asked
    assert not appetite.sated(Executor.POOL)
    appetite.answered(asked, claim)
    assert appetite.sated(Executor.POOL) is sated
    assert not appetite.sated(Executor.DEDICATED), "nothing was asked for it"
    appetite.whet({Executor.POOL})
    assert not appetite.sated(Executor.POOL)


# --- pace -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "host", "in_the_way"),
    [
        (ClaimedBatch(1, "b", Executor.POOL, PrintLock.LINE, None), None, False),
        (ClaimedBatch(1, "b", Executor.POOL, PrintLock.LINE, 2), None, True),
        (ClaimedBatch(1, "b", Executor.POOL, PrintLock.JOB, None), None, True),
        (ClaimedBatch(1, "b", Executor.SEQUENTIAL, PrintLock.LINE, None), None, True),
        (ClaimedBatch(1, "b", Executor.POOL, PrintLock.LINE, None), "http://a", True),
    ],
)
def test_others_wait_for_more_than_a_place_where_a_batch_or_a_host_has_a_limit(
    batch: ClaimedBatch, host: str | None, *, in_the_way: bool
) -> None:
    one = live()
    one.job = one.job._replace(batch=batch, host=host)
    shift = LiveShift(one.place, cast(Any, Places(1)), [one])
    assert shift.in_the_way is in_the_way


def test_unknown_and_slow_batches_get_shifts_of_one() -> None:
    pace = Pace()
    pace.note(1, 1.0)
    pace.note(2, QUICK_S * 1.01)
    assert [pace.length(key) for key in (1, 2, 3)] == [1, 1, 1]


def test_quick_jobs_are_believed_slowly_and_a_slow_one_at_once() -> None:
    pace = Pace()
    for _ in range(200):
        pace.note(1, 0.00001)
    assert pace.length(1) == LONGEST
    pace.note(1, 0.5)
    assert pace.length(1) == 1
    pace.note(1, 0.00001)
    assert pace.length(1) == 1


def test_pace_remembers_a_bounded_number_of_batches() -> None:
    pace = Pace()
    for key in range(5_000):
        pace.note(key, 0.00001)
    assert sum(pace.length(key) > 1 for key in range(5_000)) <= Pace.MOST_BATCHES


# --- liveness -------------------------------------------------------------------------------


def test_a_life_lock_lives_as_long_as_its_process(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from service.engine.liveness import LifeLock\n"
        "lock = LifeLock(pathlib.Path(sys.argv[1])); lock.acquire()\n"
        "print(lock.name, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout
    assert child.stdin
    name = child.stdout.readline().strip()
    assert not is_dead(tmp_path, name)
    child.kill()
    child.wait()
    assert is_dead(tmp_path, name)
    child.stdin.close()
    child.stdout.close()


def test_a_released_or_unknown_lock_is_dead(tmp_path: Path) -> None:
    lock = LifeLock(tmp_path)
    lock.acquire()
    assert not is_dead(tmp_path, lock.name)
    lock.release()
    lock.release()
    assert is_dead(tmp_path, lock.name)
    assert is_dead(tmp_path, "never.lock")
