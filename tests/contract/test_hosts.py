"""Politeness, as the store keeps it: every database, one suite. (``kit`` allows 2 at once,
100 ms apart.)"""

from __future__ import annotations

from typing import Any

from service.model import Ending, HostWish, index_of
from service.store.claims import LOOK
from tests.contract.test_store import SPEC, Kit, counts, kit

__all__ = ["kit"]

GAP_MS = 100


def visits(host: str, count: int) -> list[Any]:
    return [SPEC._replace(host=host)] * count


def later(kit: Kit, ms: int = GAP_MS) -> None:
    kit.clock.ahead_ms += ms
    kit.store.wake_due()


def claimed_over_time(kit: Kit, steps: int) -> list[int]:
    found = []
    for _ in range(steps):
        found.append(len(kit.claim(pool=8)))
        later(kit)
    return found


def test_visits_to_a_host_begin_one_after_another(kit: Kit) -> None:
    kit.submit_specs(visits("a", 4))
    assert claimed_over_time(kit, 2) == [1, 1]


def test_no_more_than_so_many_are_at_a_host_at_once(kit: Kit) -> None:
    key = kit.submit_specs(visits("a", 5))
    assert claimed_over_time(kit, 10) == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert kit.batch(key).running == 2
    assert {job.wait_reason for job in kit.jobs(key) if job.state == "waiting"} == {"host_limit"}


def test_each_end_lets_one_that_waits_in(kit: Kit) -> None:
    key = kit.submit_specs(visits("a", 5))
    running = []
    for _ in range(4):
        running += kit.claim(pool=8)
        later(kit)
    done = 0
    while running:
        kit.finish(running.pop(0))
        done += 1
        later(kit)
        running += kit.claim(pool=8)
        assert len(running) <= 2
    assert done == 5
    assert kit.batch(key).outcome == "succeeded"


def test_other_hosts_and_jobs_without_one_are_not_held_up(kit: Kit) -> None:
    kit.submit_specs([*visits("slow", 500), *visits("other", 1), SPEC, SPEC])
    claimed = kit.claim(pool=8)
    assert [job.host for job in claimed] == ["slow", "other", None, None]


def test_a_claim_as_large_as_its_looks_keeps_what_it_has_found_so_far(kit: Kit) -> None:
    kit.submit_specs([*visits("slow", 10), *[SPEC] * 2 * LOOK])
    claimed = kit.claim(pool=LOOK)
    assert [job.host for job in claimed] == ["slow", *[None] * (LOOK - 1)]
    assert [index_of(job.key) for job in claimed] == [0, *range(10, LOOK + 9)]


def test_batches_share_a_host(kit: Kit) -> None:
    kit.submit_specs(visits("a", 3))
    kit.submit_specs(visits("a", 3))
    assert sum(claimed_over_time(kit, 5)) == 2


def test_what_waits_is_queued_and_counted_once(kit: Kit) -> None:
    key = kit.submit_specs(visits("a", 6))
    kit.claim(pool=8)
    batch = kit.batch(key)
    assert counts(batch) == (5, 1, 0, 0, 0)
    assert batch.waiting == 5
    assert kit.store.cancel_batch(key).queued == 5


def test_a_host_that_asks_for_a_longer_gap_gets_it(kit: Kit) -> None:
    key = kit.submit_specs(visits("a", 4))
    (job,) = kit.claim(pool=8)
    kit.finish(job, host="a", host_wish=HostWish(gap_ms=1_000))
    later(kit, 500)
    assert kit.claim(pool=8) == []
    assert "robots_delay" in {item.wait_reason for item in kit.jobs(key)}
    later(kit, 600)
    assert len(kit.claim(pool=8)) == 1
    later(kit, 500)
    assert kit.claim(pool=8) == []


def test_retry_after_moves_the_whole_host(kit: Kit) -> None:
    kit.submit_specs(visits("a", 3))
    (job,) = kit.claim(pool=8)
    until = kit.clock.now_ms() + 60_000
    kit.finish(job, host="a", ending=Ending.FAILED, host_wish=HostWish(not_before_ms=until))
    later(kit, 59_000)
    assert kit.claim(pool=8) == []
    later(kit, 1_100)
    assert len(kit.claim(pool=8)) == 1


def test_the_places_of_a_dead_process_come_back(kit: Kit) -> None:
    kit.submit_specs(visits("a", 6))
    assert sum(claimed_over_time(kit, 3)) == 2
    rescuer = kit.join()
    assert kit.store.rescue([kit.node], max_crashes=3).requeued == 2
    kit.node = rescuer
    assert sum(claimed_over_time(kit, 4)) == 2


def test_a_late_finish_gives_no_place_back_twice(kit: Kit) -> None:
    kit.submit_specs(visits("a", 6))
    (late,) = kit.claim(pool=8)
    old, kit.node = kit.node, kit.join()
    kit.store.rescue([old], max_crashes=3)
    kit.finish(late, node=old, host="a")
    later(kit)
    assert sum(claimed_over_time(kit, 5)) == 2


def test_a_place_whose_next_visitor_was_cancelled_is_not_lost(kit: Kit) -> None:
    first = kit.submit_specs(visits("a", 2))
    running = []
    for _ in range(2):
        running += kit.claim(pool=8)
        later(kit)
    cancelled = kit.submit_specs(visits("a", 1))
    waiting = kit.submit_specs(visits("a", 1))
    assert kit.claim(pool=8) == []
    kit.finish(running[0], host="a")
    kit.store.cancel_batch(cancelled)
    kit.finish(running[1], host="a")
    later(kit)
    kit.store.wake_forgotten()
    later(kit)
    assert [job.batch.key for job in kit.claim(pool=8)] == [waiting]
    assert kit.batch(first).outcome == "succeeded"


def test_a_slow_host_of_many_jobs_costs_few_looks(kit: Kit) -> None:
    """Each job is parked a bounded number of times, however long it waits."""
    kit.submit_specs(visits("slow", 300))
    looks = 0
    kit.claim(pool=8)
    for _ in range(100):
        later(kit)
        kit.claim(pool=8)
        with kit.store.snapshot() as connection:
            rows = connection.exec_driver_sql("SELECT version FROM batches").scalar()
        assert rows is not None
        looks = rows
    assert looks < 1_000
