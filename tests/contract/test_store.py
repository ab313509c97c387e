"""What a store promises, whichever database is under it. A new one joins by a parameter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from sqlalchemy import select

from service.errors import (
    BatchActive,
    Expired,
    KeyReused,
    NotFound,
    QueueFull,
    StoreUnavailable,
)
from service.model import (
    BatchOptions,
    Capacity,
    ClaimedJob,
    Ending,
    Executor,
    JobSpec,
    Outcome,
    PrintLock,
    index_of,
    job_key,
)
from service.store import cancels, listing, pages, queries, upkeep
from service.store.beginnings import Beginning
from service.store.claims import Claim, Wish, one_job
from service.store.database import Database
from service.store.finishes import finish
from service.store.hosts import HostRules
from service.store.keys import NO_OWNER
from service.store.prepared import MOST_ROWS
from service.store.schema import batches
from service.store.store import Store
from service.store.submits import Remembered
from tests.support.clock import MovedClock
from tests.support.waiting import eventually

POOL = Capacity(pool=4, dedicated=0, sequential=0)
SPEC = JobSpec("numbers", '{"count":1}', None, None, 1)


def sqlite(folder: Path) -> Database:
    return Database(folder / "contract.db")


DATABASES: dict[str, Callable[[Path], Database]] = {"sqlite": sqlite}


class Kit:
    """A store and what tests do with it over and over."""

    def __init__(self, store: Store, clock: MovedClock, ended: list[set[str]]) -> None:
        self.store = store
        self.clock = clock
        self.ended = ended
        self.node = self.join()

    def join(self) -> int:
        return self.store.register(pid=1, boot_id="this", lock="none.lock")

    def submit(self, count: int = 1, **options: Any) -> int:
        return self.submit_specs([SPEC] * count, **options)

    def submit_specs(self, specs: list[JobSpec], **options: Any) -> int:
        sealed = self.store.submit(
            BatchOptions(**options), specs, node=self.node, ttl_s=60, most_queued=10**6
        )
        return sealed.batch_key

    def claim(self, pool: int = 4, node: int | None = None) -> list[ClaimedJob]:
        capacity = Capacity(pool=pool, dedicated=pool, sequential=pool)
        found: list[ClaimedJob] = []
        more = True
        while more and not found:
            claim = self.store.claim(capacity, self.node if node is None else node)
            found += [job for shift in claim.shifts for job in shift.jobs]
            more = claim.more
        return found

    def finish(self, job: ClaimedJob, node: int | None = None, **changes: Any) -> None:
        outcome = outcome_of(job)._replace(**changes)
        self.store.finish(self.node if node is None else node, outcome)
        self.settle()

    def settle(self) -> None:
        """Wait for all that was handed over to be committed."""
        self.store.journal.write(lambda tx: None)

    def batch(self, key: int) -> Any:
        with self.store.snapshot() as connection:
            return connection.execute(select(batches).where(batches.c.key == key)).one()

    def jobs(self, key: int) -> list[Any]:
        with self.store.snapshot() as connection:
            return pages.jobs_page(connection, key, after=-1, limit=10_000).rows

    def earlier(self, job_key: int) -> list[Any]:
        with self.store.snapshot() as connection:
            return queries.attempts_of(connection, [job_key]).get(job_key, [])


def outcome_of(job: ClaimedJob) -> Outcome:
    return Outcome(
        key=job.key,
        attempt=job.attempt,
        claimed_ms=job.claimed_ms,
        ending=Ending.SUCCEEDED,
        result='{"lines":["1"]}',
        error=None,
        thread="pool_0",
        started_ms=job.claimed_ms or 0,
        finished_ms=(job.claimed_ms or 0) + 5,
        cpu_us=7,
        concurrent=1,
        host=job.host,
    )


@pytest.fixture(params=DATABASES)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    database = DATABASES[request.param](tmp_path)
    database.upgrade()
    ended: list[set[str]] = []
    clock = MovedClock()
    store = Store(
        database,
        clock,
        HostRules(2, 100),
        on_commit=lambda done: ended.append({batch.id for batch in done.batches}),
    )
    store.start()
    yield Kit(store, clock, ended)
    store.stop(5.0)


def counts(batch: Any) -> tuple[int, ...]:
    return (batch.queued, batch.running, batch.succeeded, batch.failed, batch.cancelled)


# --- submitting -----------------------------------------------------------------------------


def test_a_submitted_batch_can_be_read_at_once_by_another_connection(kit: Kit) -> None:
    key = kit.submit(3, name="n", labels={"team": "a"}, executor=Executor.DEDICATED)
    batch = kit.batch(key)
    assert (batch.status, batch.total, batch.queued) == ("queued", 3, 3)
    assert (batch.name, json.loads(batch.labels), batch.executor) == (
        "n",
        {"team": "a"},
        "dedicated",
    )
    assert [index_of(job.key) for job in kit.jobs(key)] == [0, 1, 2]


def test_a_big_batch_is_not_seen_before_its_last_job_is_in(kit: Kit) -> None:
    seen: list[int] = []

    def specs() -> Iterator[JobSpec]:
        for n in range(7_000):
            if n in (4_500, 6_999):
                with kit.store.snapshot() as connection:
                    wanted = listing.BatchFilter()
                    rows = listing.list_batches(
                        connection, wanted, before=None, limit=5, now_ms=kit.clock.now_ms()
                    )
                seen.append(len(rows))
                seen.append(len(kit.claim()))
            yield SPEC

    sealed = kit.store.submit(BatchOptions(), specs(), node=kit.node, ttl_s=60, most_queued=10**6)
    assert seen == [0, 0, 0, 0]
    assert kit.batch(sealed.batch_key).queued == 7_000


def test_a_stream_that_breaks_leaves_nothing(kit: Kit) -> None:
    def specs() -> Iterator[JobSpec]:
        yield from [SPEC] * 5_000
        raise ValueError("cut")

    with pytest.raises(ValueError, match="cut"):
        kit.store.submit(BatchOptions(), specs(), node=kit.node, ttl_s=60, most_queued=10**6)
    while kit.store.sweep_piece():
        pass
    with kit.store.snapshot() as connection:
        for table in ("batches", "jobs", "labels"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def test_the_queue_has_a_bound_and_says_so(kit: Kit) -> None:
    def submit(n: int) -> None:
        kit.store.submit(BatchOptions(), [SPEC] * n, node=kit.node, ttl_s=60, most_queued=5)

    submit(5)
    with pytest.raises(QueueFull, match="5 of at most 5 jobs"):
        submit(1)
    kit.finish(kit.claim(pool=1)[0])
    submit(1)


def test_one_key_makes_one_batch(kit: Kit) -> None:
    def submit(fingerprint: str = "same") -> Any:
        return kit.store.submit(
            BatchOptions(),
            [SPEC],
            node=kit.node,
            ttl_s=60,
            most_queued=10,
            remember=lambda: Remembered("key", fingerprint),
            remember_s=100,
        )

    first, second = submit(), submit()
    assert (first.replayed, second.replayed) == (False, True)
    assert first.batch_key == second.batch_key
    with pytest.raises(KeyReused):
        submit("other")
    while kit.store.sweep_piece():
        pass
    with kit.store.snapshot() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM batches").scalar() == 1
    kit.clock.ahead_ms = 101_000
    assert not submit("other").replayed


# --- claiming -------------------------------------------------------------------------------


def test_jobs_are_claimed_in_order_and_once(kit: Kit) -> None:
    key = kit.submit(6)
    first, second, third = kit.claim(), kit.claim(), kit.claim()
    assert [index_of(job.key) for job in (*first, *second)] == [0, 1, 2, 3, 4, 5]
    assert third == []
    assert counts(kit.batch(key)) == (0, 6, 0, 0, 0)
    assert {job.attempt for job in (*first, *second)} == {1}


def test_two_nodes_never_get_the_same_job(kit: Kit) -> None:
    kit.submit(400)
    other = kit.join()
    claimed: dict[int, list[int]] = {kit.node: [], other: []}
    start = Barrier(2)

    def work(node: int) -> None:
        start.wait()
        while jobs := kit.claim(pool=7, node=node):
            claimed[node] += [job.key for job in jobs]

    threads = [Thread(target=work, args=(node,)) for node in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [key for mine in claimed.values() for key in mine]
    assert len(keys) == len(set(keys)) == 400


def test_a_batch_never_runs_more_than_its_max_workers(kit: Kit) -> None:
    key = kit.submit(10, max_workers=2)
    first = kit.claim(pool=8)
    assert len(first) == 2
    assert kit.claim(pool=8) == []
    kit.finish(first[0])
    assert len(kit.claim(pool=8)) == 1
    assert kit.batch(key).running == 2


def test_batches_take_turns(kit: Kit) -> None:
    big, small = kit.submit(100), kit.submit(4)
    claimed = kit.claim(pool=8)
    by_batch = [job.batch.key for job in claimed]
    assert by_batch.count(big) == 4
    assert by_batch.count(small) == 4


def test_the_batch_that_waited_longest_is_next(kit: Kit) -> None:
    keys = []
    for _ in range(3):
        kit.clock.ahead_ms += 1
        keys.append(kit.submit(10))
    served = []
    for _ in range(6):
        kit.clock.ahead_ms += 1
        served.append(kit.claim(pool=1)[0].batch.key)
    assert served == keys * 2


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
def test_batches_take_turns_also_when_the_clock_is_set(kit: Kit, step_ms: int) -> None:
    """One that had its turn by another clock neither starves nor keeps the others waiting."""
    before = kit.submit(20)
    assert [job.batch.key for job in kit.claim(pool=1)] == [before]
    kit.clock.ahead_ms += step_ms
    after = kit.submit(20)
    served = [kit.claim(pool=1)[0].batch.key for _ in range(8)]
    assert served == [before, after] * 4


def test_higher_priority_goes_first_and_leaves_the_rest(kit: Kit) -> None:
    low, high = kit.submit(10), kit.submit(3, priority=5)
    claimed = kit.claim(pool=5)
    assert [job.batch.key for job in claimed].count(high) == 3
    assert [job.batch.key for job in claimed].count(low) == 2


def test_a_capped_batch_does_not_keep_places_from_others(kit: Kit) -> None:
    kit.submit(10, max_workers=1)
    free = kit.submit(10)
    claimed = kit.claim(pool=6)
    assert [job.batch.key for job in claimed].count(free) == 5


@pytest.mark.parametrize(
    "options",
    [
        {"lock": PrintLock.JOB, "executor": Executor.DEDICATED},
        {"lock": PrintLock.NONE},
        {"executor": Executor.DEDICATED},
    ],
)
def test_a_batch_that_shares_something_stays_in_one_process(
    kit: Kit, options: dict[str, Any]
) -> None:
    kit.submit(10, **options)
    other = kit.join()
    assert len(kit.claim(pool=2)) == 2
    assert kit.claim(pool=2, node=other) == []
    assert len(kit.claim(pool=2)) == 2


def test_each_executor_gets_only_what_it_has_room_for(kit: Kit) -> None:
    kit.submit(5, executor=Executor.POOL)
    kit.submit(5, executor=Executor.DEDICATED)
    shifts = kit.store.claim(Capacity(pool=0, dedicated=2, sequential=9), kit.node).shifts
    assert [shift.batch.executor for shift in shifts] == ["dedicated", "dedicated"]


def test_a_sequential_batch_runs_one_job_at_a_time(kit: Kit) -> None:
    kit.submit(3, executor=Executor.SEQUENTIAL)
    (only,) = kit.claim(pool=8)
    assert kit.claim(pool=8) == []
    kit.finish(only)
    assert [index_of(job.key) for job in kit.claim(pool=8)] == [1]


def test_a_shift_holds_as_many_jobs_as_asked_for(kit: Kit) -> None:
    key = kit.submit(10)
    shifts = kit.store.claim(Capacity(2, 0, 0), kit.node, lambda _: 3).shifts
    assert [len(shift.jobs) for shift in shifts] == [3, 3]
    assert kit.batch(key).running == 6


# --- finishing ------------------------------------------------------------------------------


def test_a_look_tells_for_which_executors_a_node_may_claim(kit: Kit) -> None:
    assert kit.store.look(kit.node).claimable == set()
    kit.submit(executor=Executor.SEQUENTIAL)
    kit.submit(count=2, max_workers=1)
    assert kit.store.look(kit.node).claimable == {Executor.POOL, Executor.SEQUENTIAL}
    first, second = kit.claim()
    assert kit.store.look(kit.node).claimable == set(), "at its width, and nothing left"
    pooled = first if first.batch.executor is Executor.POOL else second
    kit.finish(pooled)
    assert kit.store.look(kit.node).claimable == {Executor.POOL}


def test_a_batch_with_a_home_is_claimable_only_there(kit: Kit) -> None:
    other = kit.join()
    kit.submit(count=2, executor=Executor.DEDICATED)
    kit.store.claim(Capacity(pool=0, dedicated=1, sequential=0), kit.node)
    assert kit.store.look(kit.node).claimable == {Executor.DEDICATED}
    assert kit.store.look(other).claimable == set()


class Hungry:
    """Wishes for a place of the pool at each transaction that leaves jobs ready for it."""

    def __init__(self, kit: Kit) -> None:
        self.asked: list[set[Executor]] = []
        self.answers: list[Future[Claim]] = []
        self.kit = kit
        kit.store.feed(self.wish)

    def wish(self, ready: set[Executor]) -> Wish | None:
        self.asked.append(ready)
        capacity = Capacity(pool=1, dedicated=0, sequential=0)
        return Wish(capacity, self.kit.node, one_job, self.answers.append)

    @property
    def got(self) -> list[int]:
        claims = [answer.result() for answer in self.answers]
        return [job.key for claim in claims for shift in claim.shifts for job in shift.jobs]


def test_the_commit_that_accepts_a_batch_also_claims_its_jobs(kit: Kit) -> None:
    hungry, commits_before = Hungry(kit), len(kit.ended)
    key = kit.submit(count=2)
    eventually(lambda: hungry.answers, "the claim is told")
    kit.settle()
    assert len(kit.ended) == commits_before + 2, "one for the batch, one to wait for it"
    assert hungry.asked == [{Executor.POOL}]
    assert hungry.got == [job_key(key, 0)]
    assert [job.state for job in kit.jobs(key)] == ["running", "queued"]


def test_the_commit_of_an_outcome_claims_the_next_job(kit: Kit) -> None:
    key = kit.submit(count=2)
    (first,) = kit.claim(pool=1)
    hungry = Hungry(kit)
    kit.finish(first)
    assert hungry.got == [job_key(key, 1)]


def test_nobody_is_asked_where_no_job_is_ready(kit: Kit) -> None:
    kit.submit()
    (only,) = kit.claim()
    hungry = Hungry(kit)
    kit.finish(only)
    with pytest.raises(QueueFull):
        kit.store.submit(BatchOptions(), [SPEC], node=kit.node, ttl_s=60, most_queued=0)
    assert not hungry.asked


def test_a_wish_sees_what_was_handed_over_after_it(kit: Kit) -> None:
    """In whatever order they come, claims are the last of a transaction."""
    answers: list[Future[Claim]] = []
    held, free = Event(), Event()

    def hold(_: object) -> None:
        held.set()
        assert free.wait(10)

    holding = kit.store.journal.submit(hold)
    assert held.wait(10)
    kit.store.wish(Wish(POOL, kit.node, one_job, answers.append))
    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(kit.submit)
        eventually(lambda: kit.store.journal.pending == 2, "both wait")
        free.set()
        key = submitted.result()
    holding.result()
    eventually(lambda: answers, "the claim is told")
    assert [shift.jobs[0].key for shift in answers[0].result().shifts] == [job_key(key, 0)]


def test_a_batch_ends_with_its_last_job(kit: Kit) -> None:
    key = kit.submit(2)
    first, second = kit.claim()
    kit.finish(first)
    assert (kit.batch(key).status, kit.batch(key).outcome) == ("running", None)
    kit.finish(second, ending=Ending.FAILED, result=None, error='{"code":"x"}')
    batch = kit.batch(key)
    assert (batch.status, batch.outcome) == ("completed", "partial")
    assert counts(batch) == (0, 0, 1, 1, 0)
    assert batch.finished_ms == second.claimed_ms + 5
    assert batch.expires_ms > kit.clock.now_ms()
    assert {batch.id} in kit.ended


@pytest.mark.parametrize(
    ("endings", "outcome"),
    [
        ([Ending.SUCCEEDED, Ending.SUCCEEDED], "succeeded"),
        ([Ending.FAILED, Ending.FAILED], "failed"),
        ([Ending.FAILED, Ending.SUCCEEDED], "partial"),
        ([Ending.CANCELLED, Ending.SUCCEEDED], "partial"),
        ([Ending.CANCELLED, Ending.CANCELLED], "cancelled"),
    ],
)
def test_the_outcome_follows_from_the_jobs(kit: Kit, endings: list[Ending], outcome: str) -> None:
    key = kit.submit(2)
    for job, ending in zip(kit.claim(), endings, strict=True):
        kit.finish(job, ending=ending)
    assert (kit.batch(key).status, kit.batch(key).outcome) == ("completed", outcome)


def test_a_late_worker_cannot_overwrite_what_a_rescue_gave_to_another(kit: Kit) -> None:
    key = kit.submit(1)
    (late,) = kit.claim()
    rescuer = kit.join()
    assert kit.store.rescue([kit.node], max_crashes=3).requeued == 1
    (again,) = kit.claim(node=rescuer)
    kit.finish(late, result='"late"')
    assert counts(kit.batch(key)) == (0, 1, 0, 0, 0)
    kit.finish(again, node=rescuer, result='"in time"')
    kit.finish(late, result='"later still"')
    (job,) = kit.jobs(key)
    assert (job.state, job.result, job.attempt) == ("succeeded", '"in time"', 2)
    assert counts(kit.batch(key)) == (0, 0, 1, 0, 0)


def test_one_late_finish_does_not_spoil_the_others_of_its_transaction(kit: Kit) -> None:
    key = kit.submit(4)
    jobs = kit.claim()
    stale = outcome_of(jobs[1])._replace(attempt=7)
    for outcome in (outcome_of(jobs[0]), stale, outcome_of(jobs[2]), outcome_of(jobs[3])):
        kit.store.finish(kit.node, outcome)
    kit.settle()
    assert counts(kit.batch(key)) == (0, 1, 3, 0, 0)


def test_any_number_of_outcomes_is_written_down_in_one_transaction(kit: Kit) -> None:
    key = kit.submit(MOST_ROWS + 75)
    claimed = kit.claim(MOST_ROWS + 75)
    kit.store.finish(kit.node + 1, outcome_of(claimed.pop()))
    failed: dict[str, Any] = {
        "ending": Ending.FAILED,
        "result": None,
        "error": '{"code":"c"}',
        "cpu_us": None,
    }
    outcomes = [
        outcome_of(job)._replace(**(failed if index_of(job.key) % 3 == 0 else {}))
        for job in claimed
    ]
    kit.store.journal.write(lambda tx: finish(tx, outcomes, node=kit.node))
    batch, found = kit.batch(key), kit.jobs(key)
    assert (batch.running, batch.succeeded + batch.failed) == (1, MOST_ROWS + 74)
    assert [job.state for job in found[-2:]] == ["succeeded", "running"]
    for job in found[:-1]:
        ended = (job.state, job.result, job.error, job.cpu_us)
        if index_of(job.key) % 3 == 0:
            assert ended == ("failed", None, '{"code":"c"}', None)
        else:
            assert ended == ("succeeded", '{"lines":["1"]}', None, 7)


def test_a_job_finishes_once_however_often_it_is_said(kit: Kit) -> None:
    key = kit.submit(2)
    first, _ = kit.claim()
    for _ in range(3):
        kit.finish(first)
    assert counts(kit.batch(key)) == (0, 1, 1, 0, 0)


def test_results_are_numbered_in_the_order_of_completion(kit: Kit) -> None:
    key = kit.submit(4)
    claimed = kit.claim()
    for n in (2, 0, 3, 1):
        kit.finish(claimed[n])
    assert [queries.result_seq(job) for job in kit.jobs(key)] == [2, 4, 1, 3]


def test_a_failure_with_a_later_date_is_another_attempt(kit: Kit) -> None:
    key = kit.submit_specs([SPEC._replace(max_attempts=2)])
    (job,) = kit.claim()
    due = kit.clock.now_ms() + 5_000
    kit.finish(
        job,
        ending=Ending.FAILED,
        error='{"code":"x"}',
        not_before_ms=due,
        wait_reason="retry_backoff",
    )
    (waiting,) = kit.jobs(key)
    assert (waiting.state, waiting.wait_reason) == ("waiting", "retry_backoff")
    assert counts(kit.batch(key)) == (1, 0, 0, 0, 0)
    assert kit.claim() == []
    due_ms = kit.store.look(kit.node).due_ms
    assert due_ms is not None
    assert 4 < kit.store.seconds_until(due_ms) <= 5
    kit.clock.ahead_ms = 5_001
    assert kit.store.wake_due() is None
    (again,) = kit.claim()
    assert (again.attempt, again.failures) == (2, 1)
    assert [(a.n, a.error) for a in kit.earlier(job.key)] == [(1, '{"code":"x"}')]


def test_a_deferred_job_has_made_no_attempt(kit: Kit) -> None:
    key = kit.submit(1)
    (job,) = kit.claim()
    kit.finish(job, ending=Ending.DEFERRED, not_before_ms=0, wait_reason="host_limit")
    (again,) = kit.claim()
    assert (again.attempt, again.failures) == (1, 0)
    assert kit.earlier(job.key) == []
    assert kit.batch(key).running == 1


def test_a_job_that_is_handed_back_is_charged_nothing_but_tells_of_it(kit: Kit) -> None:
    kit.submit(1)
    (job,) = kit.claim()
    kit.finish(job, ending=Ending.HANDED_BACK, error='{"code":"handed_back"}')
    (again,) = kit.claim()
    assert (again.attempt, again.failures, again.crashes) == (2, 0, 0)
    assert len(kit.earlier(job.key)) == 1


def test_the_console_keeps_the_order_of_printing(kit: Kit) -> None:
    key = kit.submit(2)
    one, two = kit.claim()
    for job, text in ((one, "a"), (two, "b"), (one, "c"), (one, "d")):
        kit.store.print(job.key, text + "\n")
    kit.settle()
    with kit.store.snapshot() as connection:
        whole = pages.console_page(connection, key, after=0, limit=10).rows
        own = pages.console_of_job(connection, one.key, after=0, limit=10).rows
    assert "".join(row.text for row in whole) == "a\nb\nc\nd\n"
    assert "".join(row.text for row in own) == "a\nc\nd\n"


# --- cancelling -----------------------------------------------------------------------------


def test_a_cancel_ends_the_queued_and_flags_the_running(kit: Kit) -> None:
    key = kit.submit(5)
    running = kit.claim(pool=2)
    cancelled = kit.store.cancel_batch(key)
    assert (cancelled.queued, cancelled.running) == (3, 2)
    assert kit.batch(key).status == "cancelling"
    assert sorted(kit.store.look(kit.node).cancelling) == [job.key for job in running]
    assert kit.claim() == []
    for job in running:
        kit.finish(job, ending=Ending.CANCELLED)
    batch = kit.batch(key)
    assert (batch.status, batch.outcome, counts(batch)) == (
        "cancelled",
        "cancelled",
        (0, 0, 0, 0, 5),
    )


def test_a_cancel_is_repeatable(kit: Kit) -> None:
    key = kit.submit(3)
    assert kit.store.cancel_batch(key).queued == 3
    assert kit.store.cancel_batch(key).queued == 0
    assert counts(kit.batch(key)) == (0, 0, 0, 0, 3)


def test_a_cancelled_job_is_not_retried(kit: Kit) -> None:
    key = kit.submit_specs([SPEC._replace(max_attempts=5)])
    (job,) = kit.claim()
    kit.store.cancel_job(job.key, key)
    kit.finish(job, ending=Ending.FAILED, not_before_ms=1, wait_reason="retry_backoff")
    assert kit.jobs(key)[0].state == "cancelled"


def test_a_job_can_be_cancelled_alone(kit: Kit) -> None:
    key = kit.submit(2)
    jobs = kit.jobs(key)
    assert kit.store.cancel_job(jobs[0].key, key) == "queued"
    assert kit.store.cancel_job(jobs[0].key, key) == "cancelled"
    assert counts(kit.batch(key)) == (1, 0, 0, 0, 1)
    with pytest.raises(NotFound):
        kit.store.cancel_job(jobs[1].key + 1, key)


def test_a_big_cancel_counts_all_its_pieces(kit: Kit) -> None:
    key = kit.submit(25_000)
    assert kit.store.cancel_batch(key).queued == 25_000
    assert kit.batch(key).status == "cancelled"


# --- nodes ----------------------------------------------------------------------------------


def test_a_dead_nodes_jobs_go_back_with_the_crash_on_record(kit: Kit) -> None:
    key = kit.submit(3)
    kit.claim(pool=2)
    rescuer = kit.join()
    assert kit.store.rescue([kit.node], max_crashes=3) == (2, 0)
    assert counts(kit.batch(key)) == (3, 0, 0, 0, 0)
    (first, *_) = kit.claim(node=rescuer)
    assert (first.attempt, first.crashes, first.failures) == (2, 1, 0)
    (earlier,) = kit.earlier(first.key)
    assert json.loads(earlier.error)["code"] == "crashed"


def crash(kit: Kit, times: int, pool: int = 8) -> None:
    """The node dies under all that it can claim, and another takes its place."""
    for _ in range(times):
        assert kit.claim(pool)
        dead, kit.node = kit.node, kit.join()
        kit.store.rescue([dead], max_crashes=3)
        kit.clock.ahead_ms += 1_000  # its host can be visited again


def crash_alone(kit: Kit) -> Any:
    """A suspect's process dies under it; returns what the rescue found."""
    cell = kit.join()
    assert kit.store.claim_suspect(cell)
    return kit.store.rescue_suspect(cell, max_crashes=3, alone="SIGSEGV")


def test_a_job_that_crashes_once_more_alone_fails_with_the_evidence(kit: Kit) -> None:
    key = kit.submit(1)
    crash(kit, times=2)
    assert crash_alone(kit) == (0, 1)
    (job,) = kit.jobs(key)
    error = json.loads(job.error)
    assert (job.state, error["code"], error["crashes"]) == ("failed", "crashed", 3)
    assert "alone there, and the process ended with SIGSEGV" in error["detail"]
    assert len(kit.earlier(job.key)) == 2
    assert kit.batch(key).outcome == "failed"


def test_a_job_whose_process_may_have_been_killed_by_others_is_not_failed(kit: Kit) -> None:
    key = kit.submit(1)
    crash(kit, times=2)
    for _ in range(12):  # everything was killed at once: there is no witness
        cell = kit.join()
        assert kit.store.claim_suspect(cell)
        assert kit.store.rescue([cell], max_crashes=3) == (1, 0)
    assert kit.jobs(key)[0].crashes == 14
    cell = kit.join()
    assert kit.store.claim_suspect(cell)
    assert kit.store.rescue([cell], max_crashes=3) == (0, 1), "it takes down all, time and again"


def test_with_few_crashes_allowed_nothing_is_found_out(kit: Kit) -> None:
    kit.submit(1)
    kit.claim()
    assert kit.store.rescue([kit.node], max_crashes=1) == (0, 1)


def test_suspects_wait_for_a_process_of_their_own(kit: Kit) -> None:
    key = kit.submit(4)
    assert not kit.store.suspect_waits()
    crash(kit, times=2)
    healthy = kit.submit(2)
    assert [job.batch.key for job in kit.claim(pool=8)] == [healthy] * 2
    assert {job.wait_reason for job in kit.jobs(key)} == {"quarantine"}
    assert counts(kit.batch(key)) == (4, 0, 0, 0, 0)
    cells = [kit.join(), kit.join()]
    first, second = (kit.store.claim_suspect(cell) for cell in cells)
    assert first is not None
    assert second is not None
    assert (first.crashes, second.crashes, first.key < second.key) == (2, 2, True)
    assert counts(kit.batch(key)) == (2, 2, 0, 0, 0)
    kit.finish(first, node=cells[0])
    kit.store.leave(cells[1], 5.0)
    assert counts(kit.batch(key)) == (3, 0, 1, 0, 0)
    assert kit.store.suspect_waits()
    kit.store.cancel_batch(key)
    assert not kit.store.suspect_waits()
    assert kit.batch(key).status == "cancelled"


def test_a_suspects_batch_moves_to_its_process_and_out_again(kit: Kit) -> None:
    key = kit.submit(2, lock=PrintLock.JOB, executor=Executor.DEDICATED)
    crash(kit, times=2, pool=1)
    (other,) = kit.claim()
    cell = kit.join()
    assert not kit.store.suspect_waits(), "its batch is at work elsewhere"
    assert kit.store.claim_suspect(cell) is None
    kit.finish(other, ending=Ending.FAILED, not_before_ms=0)
    suspect = kit.store.claim_suspect(cell)
    assert suspect
    assert kit.batch(key).home == cell
    assert kit.claim() == [], "the batch is at work there"
    kit.finish(suspect, node=cell)
    kit.store.move_out(cell)
    assert len(kit.claim()) == 1


def test_a_suspect_waits_for_its_host_too(kit: Kit) -> None:
    spec = SPEC._replace(host="example.com")
    key = kit.submit_specs([spec])
    crash(kit, times=2)
    cell = kit.join()
    kit.submit_specs([spec] * 2)
    (other,) = kit.claim()
    kit.finish(other)
    kit.store.wake_forgotten()
    assert kit.jobs(key)[0].wait_reason == "quarantine", "a free place is not for a suspect"
    kit.clock.ahead_ms += 60_000
    kit.store.wake_due()
    (other,) = kit.claim()
    assert kit.store.claim_suspect(cell) is None, "the host was visited just now"
    assert not kit.store.suspect_waits()
    kit.submit_specs([spec])
    kit.clock.ahead_ms += 60_000
    kit.store.wake_due()
    assert len(kit.claim()) == 1
    kit.clock.ahead_ms += 60_000
    assert kit.store.claim_suspect(cell) is None, "two are there, which is the most"
    assert not kit.store.suspect_waits()
    kit.finish(other)
    kit.clock.ahead_ms += 60_000
    kit.store.wake_due()
    assert kit.store.claim_suspect(cell)


def test_a_rescue_happens_once(kit: Kit) -> None:
    kit.submit(2)
    kit.claim()
    kit.join()
    assert kit.store.rescue([kit.node], max_crashes=3).requeued == 2
    assert kit.store.rescue([kit.node], max_crashes=3).requeued == 0


def test_a_node_that_was_taken_for_dead_is_told_so(kit: Kit) -> None:
    assert kit.store.beat(kit.node)
    kit.store.rescue([kit.node], max_crashes=3)
    assert not kit.store.beat(kit.node)


def test_a_node_is_silent_after_its_time_or_by_another_boot(kit: Kit) -> None:
    assert kit.store.silent_nodes(boot_id="this", timeout_s=15) == []
    assert kit.store.silent_nodes(boot_id="another", timeout_s=15) == [kit.node]
    kit.clock.ahead_ms = 16_000
    assert kit.store.silent_nodes(boot_id="this", timeout_s=15) == [kit.node]
    kit.store.beat(kit.node)
    assert kit.store.silent_nodes(boot_id="this", timeout_s=15) == []


def test_a_dead_node_frees_its_batches_and_what_it_received_in_part(kit: Kit) -> None:
    pinned = kit.submit(3, lock=PrintLock.NONE)
    kit.claim(pool=1)
    rescuer = kit.join()
    kit.store.rescue([kit.node], max_crashes=3)
    assert [job.batch.key for job in kit.claim(node=rescuer)] == [pinned] * 3


def test_what_a_node_still_owns_goes_back_when_it_leaves(kit: Kit) -> None:
    """A thread that never returned, say: nobody rescues the jobs of a node that is no more."""
    key = kit.submit(2)
    first, _ = kit.claim()
    kit.store.cancel_job(first.key, key)
    kit.store.leave(kit.node, 5.0)
    assert counts(kit.batch(key)) == (1, 0, 0, 0, 1)
    kit.node = kit.join()
    (again,) = kit.claim()
    assert (again.crashes, again.failures) == (0, 0)
    (earlier,) = kit.earlier(again.key)
    assert json.loads(earlier.error)["code"] == "handed_back"


def test_running_jobs_without_a_node_are_found_and_rescued(kit: Kit) -> None:
    key = kit.submit(2)
    kit.claim()
    kit.store.journal.write(lambda tx: tx.connection.exec_driver_sql("DELETE FROM nodes").rowcount)
    assert kit.store.ownerless() == [kit.node]
    assert kit.store.rescue([kit.node], max_crashes=3).requeued == 2
    assert kit.store.ownerless() == []
    assert kit.batch(key).queued == 2


def test_a_node_that_was_taken_for_dead_claims_nothing(kit: Kit) -> None:
    kit.submit(2)
    kit.store.rescue([kit.node], max_crashes=3)
    assert kit.claim() == []
    kit.node = kit.join()
    assert len(kit.claim()) == 2


def test_a_node_that_beats_again_in_time_is_not_rescued(kit: Kit) -> None:
    kit.submit(1)
    kit.claim()
    kit.clock.ahead_ms = 16_000
    silent = kit.store.silent_nodes(boot_id="this", timeout_s=15)
    assert silent == [kit.node]
    kit.store.beat(kit.node)
    assert kit.store.rescue(silent, max_crashes=3, silent_for_s=15) == (0, 0)
    assert kit.store.beat(kit.node)


def test_suspects_do_not_keep_others_waiting(kit: Kit) -> None:
    kit.submit(6, priority=9)
    crash(kit, times=2)
    plain = kit.submit(20)
    assert [job.batch.key for job in kit.claim(pool=8)] == [plain] * 8
    assert {job.batch.key for job in kit.claim(pool=8)} == {plain}


# --- interrupted work -----------------------------------------------------------------------


def test_a_cancel_that_was_interrupted_is_finished(kit: Kit) -> None:
    key = kit.submit(12_000)
    kit.store.journal.write(lambda tx: cancels.cancel_batch(tx, key))
    assert kit.batch(key).queued == 2_000
    while kit.store.finish_cancels():
        pass
    assert kit.batch(key).status == "cancelled"


def test_a_delete_that_was_interrupted_shows_nothing_and_is_finished(kit: Kit) -> None:
    key = kit.submit(12_000)
    kit.store.cancel_batch(key)
    batch = kit.batch(key)
    kit.store.journal.write(lambda tx: upkeep.delete_piece(tx, key))
    with kit.store.snapshot() as connection, pytest.raises(Expired):
        queries.find_batch(connection, batch.id, kit.clock.now_ms())
    while kit.store.expire_piece():
        pass
    assert kit.jobs(key) == []


def test_a_batch_whose_receiver_was_rescued_is_refused_and_leaves_nothing(kit: Kit) -> None:
    def specs() -> Iterator[JobSpec]:
        for n in range(9_000):
            if n == 5_000:
                kit.store.rescue([kit.node], max_crashes=3)
                while kit.store.sweep_piece():
                    pass
            yield SPEC

    with pytest.raises(StoreUnavailable, match="send it again"):
        kit.store.submit(BatchOptions(), specs(), node=kit.node, ttl_s=60, most_queued=10**6)
    while kit.store.sweep_piece():
        pass
    with kit.store.snapshot() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar() == 0
        assert queries.queue_state(connection).queued == 0


# --- faults ---------------------------------------------------------------------------------


def test_an_outcome_that_can_not_be_written_fails_its_job_alone(kit: Kit) -> None:
    key = kit.submit(4)
    jobs = kit.claim()
    outcomes = [outcome_of(job) for job in jobs]
    outcomes[1] = outcomes[1]._replace(ending=Ending.FAILED, not_before_ms=10**30)
    outcomes[2] = outcomes[2]._replace(result='"half \ud800 of a pair"')
    for outcome in outcomes:
        kit.store.finish(kit.node, outcome)
    kit.settle()
    eventually(lambda: kit.batch(key).status == "completed", "all are written down")
    states = [(job.state, job.error and json.loads(job.error)["code"]) for job in kit.jobs(key)]
    assert states == [
        ("succeeded", None),
        ("failed", "bad_outcome"),
        ("failed", "bad_outcome"),
        ("succeeded", None),
    ]
    assert kit.store.journal.failure is None


def test_a_write_that_raises_undoes_itself_and_no_other(kit: Kit) -> None:
    def note(tx: Any, name: str) -> None:
        tx.connection.exec_driver_sql("INSERT INTO tombstones VALUES (?, 0, 1)", (name,))

    def broken(tx: Any) -> None:
        note(tx, "broken")
        raise ValueError("mine")

    before = kit.store.journal.submit(lambda tx: note(tx, "before"))
    failing = kit.store.journal.submit(broken)
    after = kit.store.journal.submit(lambda tx: note(tx, "after"))
    with pytest.raises(ValueError, match="mine"):
        failing.result(5)
    assert (before.result(5), after.result(5)) == (None, None)
    with kit.store.snapshot() as connection:
        names = connection.exec_driver_sql("SELECT batch_id FROM tombstones").scalars()
        assert sorted(names) == ["after", "before"]


def test_no_answer_without_the_database_and_no_empty_one_in_its_place(
    kit: Kit, tmp_path: Path
) -> None:
    kit.submit(1)
    for file in tmp_path.glob("contract.db*"):
        file.rename(file.with_name("moved-" + file.name))
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            kit.submit(1)
    assert not (tmp_path / "contract.db").exists()
    for file in tmp_path.glob("moved-*"):
        file.rename(file.with_name(file.name.removeprefix("moved-")))
    kit.submit(1)


# --- time -----------------------------------------------------------------------------------


def test_an_ended_batch_expires_whole_and_its_id_is_remembered(kit: Kit) -> None:
    key = kit.submit(1, labels={"a": "b"})
    (job,) = kit.claim()
    kit.store.print(job.key, "x\n")
    kit.finish(job)
    batch = kit.batch(key)
    kit.clock.ahead_ms = 61_000
    with kit.store.snapshot() as connection, pytest.raises(Expired):
        queries.find_batch(connection, batch.id, kit.clock.now_ms())
    while kit.store.expire_piece():
        pass
    with kit.store.snapshot() as connection:
        for table in ("batches", "jobs", "console", "labels", "attempts"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
        with pytest.raises(Expired):
            queries.find_batch(connection, batch.id, kit.clock.now_ms())
        with pytest.raises(NotFound):
            queries.find_batch(connection, "0" * 20, kit.clock.now_ms())


def test_a_poll_finds_what_a_snapshot_shows(kit: Kit) -> None:
    key = kit.submit(2, labels={"a": "b"})
    kit.finish(kit.claim()[0])
    batch = kit.batch(key)
    assert kit.store.find_batch(batch.id, NO_OWNER)._asdict() == batch._asdict()


def test_an_active_batch_never_expires(kit: Kit) -> None:
    key = kit.submit(1)
    kit.clock.ahead_ms = 10**10
    assert not kit.store.expire_piece()
    assert kit.batch(key).status == "queued"


def test_only_an_ended_batch_is_deleted(kit: Kit) -> None:
    key = kit.submit(6_000)
    with pytest.raises(BatchActive):
        kit.store.delete_batch(key)
    kit.store.cancel_batch(key)
    kit.store.delete_batch(key)
    assert kit.jobs(key) == []


def test_the_gauge_of_the_queue_is_the_sum_of_the_batches(kit: Kit) -> None:
    kit.submit(10)
    other = kit.submit(5)
    kit.finish(kit.claim(pool=3)[0])
    kit.store.cancel_batch(other)
    with kit.store.snapshot() as connection:
        total = connection.exec_driver_sql("SELECT sum(queued) FROM batches").scalar()
        assert queries.queue_state(connection).queued == total


# --- how concurrent it was ------------------------------------------------------------------


def live(kit: Kit, key: int) -> tuple[int, int]:
    batch = kit.batch(key)
    return (batch.live, batch.live_claimed_ms)


def test_jobs_with_a_thread_each_are_live_and_those_that_share_a_shift_are_not(kit: Kit) -> None:
    alone, shared = kit.submit(2), kit.submit(6)
    shifts = kit.store.claim(
        Capacity(4, 0, 0), kit.node, lambda batch: 3 if batch == shared else 1
    ).shifts
    claimed = [job for shift in shifts for job in shift.jobs]
    first = next(job for job in claimed if job.batch.key == alone)
    assert live(kit, alone) == (2, 2 * first.claimed_ms)
    assert live(kit, shared) == (0, 0)
    for job in claimed:
        kit.store.finish(kit.node, outcome_of(job))
    kit.settle()
    assert live(kit, alone) == live(kit, shared) == (0, 0)


@pytest.mark.parametrize("end", ["rescue", "leave", "defer", "retry", "cancel"])
def test_a_job_is_live_no_more_however_it_ends(kit: Kit, end: str) -> None:
    key = kit.submit(1)
    kit.clock.ahead_ms += 10
    job = kit.claim()[0]
    kit.clock.ahead_ms += 50
    started = {"started_ms": job.claimed_ms, "finished_ms": job.claimed_ms + 5}
    if end == "rescue":
        kit.store.rescue([kit.node], max_crashes=3)
    elif end == "leave":
        kit.store.leave(kit.node, 5.0)
    elif end == "cancel":
        kit.store.cancel_batch(key)
        kit.finish(job, ending=Ending.CANCELLED, result=None, **started)
    else:
        ending = Ending.DEFERRED if end == "defer" else Ending.FAILED
        kit.finish(job, ending=ending, not_before_ms=0, result=None, **started)
    assert live(kit, key) == (0, 0)
    batch, ended = kit.batch(key), kit.earlier(job.key) or kit.jobs(key)
    assert batch.running == 0
    if end != "defer":
        assert batch.run_ms == ended[0].finished_ms - ended[0].started_ms >= 5


def test_a_deferred_job_goes_on_waiting_and_a_retried_one_begins_to(kit: Kit) -> None:
    key = kit.submit(2)
    queued_ms = kit.jobs(key)[0].queued_ms
    kit.clock.ahead_ms += 100
    deferred, retried = kit.claim()
    kit.finish(deferred, ending=Ending.DEFERRED, not_before_ms=0)
    kit.finish(retried, ending=Ending.FAILED, not_before_ms=0)
    first, second = kit.jobs(key)
    assert first.queued_ms == queued_ms
    assert second.queued_ms >= queued_ms + 100
    assert kit.earlier(retried.key)[0].queued_ms == queued_ms


def test_a_beginning_is_noted_of_a_job_that_still_runs_here_and_of_no_other(kit: Kit) -> None:
    key = kit.submit(3)
    runs, ended, elsewhere = kit.claim()
    kit.finish(ended)
    others = kit.join()
    noted = [Beginning(job.key, 1, 7, "pool_3", 1) for job in (runs, ended)]
    kit.store.note_beginnings(kit.node, [*noted, Beginning(runs.key, 2, 8, "late", 1)]).result()
    kit.store.note_beginnings(others, [Beginning(elsewhere.key, 1, 9, "not its own", 1)]).result()
    assert [job.thread for job in kit.jobs(key)] == ["pool_3", "pool_0", None]
    assert kit.jobs(key)[0].started_ms == 7
    kit.store.rescue([kit.node], max_crashes=3)
    assert [(one.thread, one.owner) for one in kit.earlier(runs.key)] == [("pool_3", kit.node)]


def test_the_peak_of_long_jobs_is_that_of_all_processes_together(kit: Kit) -> None:
    key, other = kit.submit(3), kit.join()
    mine, theirs = kit.claim(pool=2), kit.claim(pool=1, node=other)
    kit.store.note_beginnings(
        kit.node, [Beginning(job.key, 1, 1, "pool_0", 2) for job in mine]
    ).result()
    assert kit.batch(key).peak == 2
    version = kit.batch(key).version
    kit.store.note_beginnings(kit.node, [Beginning(mine[0].key, 1, 1, "pool_0", 2)]).result()
    assert kit.batch(key).version == version
    kit.store.note_beginnings(other, [Beginning(theirs[0].key, 1, 1, "pool_0", 1)]).result()
    assert kit.batch(key).peak == 3


def test_a_batch_ends_when_its_last_job_does_also_if_that_never_ran(kit: Kit) -> None:
    key = kit.submit(2)
    kit.finish(kit.claim(pool=1)[0])
    kit.clock.ahead_ms += 60_000
    kit.store.cancel_batch(key)
    assert kit.batch(key).finished_ms == max(job.finished_ms for job in kit.jobs(key))
