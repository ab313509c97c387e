"""What a page costs in a large store: counted in SQLite's own steps, not in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from service.store import listing, pages, queries
from service.store.database import Database
from service.store.listing import BatchFilter

BATCHES = 100_000
JOBS = 200_000
FEW_ARE_HIS = 7
BIG = BATCHES + 1
ENDED = BIG + 60_000
NOW_MS = 1_000_000_000
STEP = 1_000
CHEAP = 220 * STEP
"""A row that is looked at takes some 10 steps, one that is read some 60."""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Ended batches, all succeeded but the oldest; then a big one with few jobs in each state."""
    database = Database(tmp_path_factory.mktemp("large") / "a.db")
    database.upgrade()
    with database.writer() as writer, writer.begin():
        _fill(writer)
    with database.snapshot() as connection:
        yield connection
    database.close()


def _fill(writer: Connection) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    columns = (
        "key, id, status, outcome, name, labels, executor, lock, priority, ttl_s, width, pinned"
    )
    for low, high, status, outcome, queued in (
        (1, 1, "'completed'", "'failed'", 0),
        (2, BATCHES, "'completed'", "'succeeded'", 0),
        (BIG, BIG, "'running'", "NULL", JOBS),
        (BIG + 1, BIG + 50_000, "'queued'", "NULL", 1),
    ):
        writer.exec_driver_sql(
            f"{numbers.format(high)} INSERT INTO batches ({columns}, queued, total, created_ms) "
            f"SELECT i, 'id' || i, {status}, {outcome}, 'n' || (i % 2), '{{}}', 'sequential', "
            f"'line', 0, 9, 1, 0, {queued}, {queued}, i FROM n WHERE i >= {low}"
        )
    writer.exec_driver_sql(f"UPDATE batches SET owner = {FEW_ARE_HIS} WHERE key BETWEEN 20 AND 29")
    labels = "INSERT INTO labels (owner, name, value, batch_key)"
    writer.exec_driver_sql(f"{labels} SELECT owner, 'all', 'a', key FROM batches")
    writer.exec_driver_sql(f"{labels} VALUES (0, 'rare', 'a', 1)")
    few = {7: "waiting", 8: "running", 9: "succeeded", JOBS - 7: "waiting", JOBS - 8: "failed"}
    states = " ".join(f"WHEN {index} THEN '{state}'" for index, state in few.items())
    writer.exec_driver_sql(
        f"{numbers.format(JOBS)} INSERT INTO jobs (key, state, type, params, max_attempts, "
        f"queued_ms) SELECT {BIG} << 24 | (i - 1), CASE i {states} ELSE 'queued' END, "
        "'numbers', '{}', 1, 0 FROM n"
    )
    # one that has ended: a job and four bytes of console for each number
    writer.exec_driver_sql(
        f"INSERT INTO batches ({columns}, total, succeeded, console_seq, console_bytes, created_ms)"
        f" VALUES ({ENDED}, 'ended', 'completed', 'succeeded', 'n', '{{}}', 'pool', 'line', 0, 9, "
        f"1, 0, {JOBS}, {JOBS}, {JOBS}, {4 * JOBS}, 0)"
    )
    writer.exec_driver_sql(
        f"{numbers.format(JOBS)} INSERT INTO jobs (key, state, type, params, max_attempts, "
        f"queued_ms, finish_key) SELECT {ENDED} << 24 | (i - 1), 'succeeded', 'numbers', '{{}}', "
        f"1, 0, {ENDED} << 32 | ({JOBS} + 1 - i) FROM n"
    )
    writer.exec_driver_sql(
        f"{numbers.format(JOBS)} INSERT INTO console (key, job_key, start, text) "
        f"SELECT {ENDED} << 32 | i, {ENDED} << 24, 4 * (i - 1), 'abc' || char(10) FROM n"
    )


def assert_cheap(connection: Connection, read: Callable[[], Any]) -> Any:
    count = 0

    def tick() -> int:
        nonlocal count
        count += STEP
        return 0

    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(tick, STEP)
    try:
        value = read()
    finally:
        driver.set_progress_handler(None, 0)
    assert count < CHEAP, f"{count} steps"
    return value


@pytest.mark.parametrize(
    ("status", "found"),
    [("running", 1), ("cancelling", 0), ("failed", 1), ("cancelled", 0), ("queued", 101)],
)
@pytest.mark.parametrize("after", [-1, 150_000])
def test_a_page_of_jobs_in_a_state(
    connection: Connection, status: str, found: int, after: int
) -> None:
    page = assert_cheap(
        connection,
        lambda: pages.jobs_page(connection, BIG, after=after, limit=101, status=status),
    )
    if after < 0:
        assert len(page.rows) == found
    assert (page.end is not None) == (status == "queued")


def test_queued_jobs_and_those_that_wait_come_in_one_order(connection: Connection) -> None:
    page = assert_cheap(
        connection, lambda: pages.jobs_page(connection, BIG, after=-1, limit=10, status="queued")
    )
    assert [row.key & 0xFFFFFF for row in page.rows] == [0, 1, 2, 3, 4, 5, 6, 9, 10, 11]
    assert page.rows[6].state == "waiting"


def test_rare_succeeded_jobs_are_looked_for_in_pieces(connection: Connection) -> None:
    found, after, rounds = [], -1, 0
    while True:
        page = pages.jobs_page(connection, BIG, after=after, limit=10, status="succeeded")
        found += page.rows
        rounds += 1
        if page.end is None:
            break
        after = page.end & 0xFFFFFF
    assert [row.key & 0xFFFFFF for row in found] == [8]
    assert rounds == JOBS // pages.SCAN


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (BatchFilter(), 101),
        (BatchFilter(status="completed"), 101),
        (BatchFilter(status="running"), 1),
        (BatchFilter(status="cancelled"), 0),
        (BatchFilter(outcome="failed"), 1),
        (BatchFilter(outcome="partial"), 0),
        (BatchFilter(status="completed", outcome="failed"), 1),
        (BatchFilter(name="n0"), 101),
        (BatchFilter(name="none"), 0),
        (BatchFilter(status="running", name="n1"), 1),
        (BatchFilter(name="none", outcome="succeeded"), 0),
        (BatchFilter(labels=(("all", "a"),)), 101),
        (BatchFilter(labels=(("rare", "a"),)), 1),
        (BatchFilter(labels=(("none", "a"),)), 0),
        (BatchFilter(labels=(("rare", "a"), ("all", "a")), outcome="failed"), 1),
        (BatchFilter(labels=(("rare", "a"), ("none", "a"))), 0),
        (BatchFilter(created_after_ms=BATCHES + 49_990), 11),
        (BatchFilter(created_after_ms=NOW_MS), 0),
        (BatchFilter(created_after_ms=5), 101),
    ],
)
def test_a_page_of_batches(connection: Connection, wanted: BatchFilter, found: int) -> None:
    for before in (None, BIG + 50_001):
        rows = assert_cheap(
            connection,
            lambda before=before: listing.list_batches(
                connection, wanted, before=before, limit=101, now_ms=NOW_MS
            ),
        )
        assert len(rows) == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (BatchFilter(), 10),
        (BatchFilter(status="completed"), 10),
        (BatchFilter(status="queued"), 0),
        (BatchFilter(outcome="succeeded"), 10),
        (BatchFilter(outcome="failed"), 0),
        (BatchFilter(name="n0"), 5),
        (BatchFilter(labels=(("all", "a"),)), 10),
        (BatchFilter(labels=(("all", "a"),), name="n1", outcome="succeeded"), 5),
        (BatchFilter(labels=(("rare", "a"),)), 0),
        (BatchFilter(created_after_ms=24), 5),
    ],
)
def test_a_page_of_a_key_that_has_few_among_many_of_others(
    connection: Connection, wanted: BatchFilter, found: int
) -> None:
    rows = assert_cheap(
        connection,
        lambda: listing.list_batches(
            connection, wanted, before=None, limit=101, now_ms=NOW_MS, owner=FEW_ARE_HIS
        ),
    )
    assert len(rows) == found


def test_the_last_page_of_those_created_after_a_moment(connection: Connection) -> None:
    wanted = BatchFilter(created_after_ms=BATCHES)
    rows = assert_cheap(
        connection,
        lambda: listing.list_batches(connection, wanted, before=BIG + 50, limit=101, now_ms=NOW_MS),
    )
    assert [row.key for row in rows] == list(range(BIG + 49, BATCHES, -1))


def test_the_state_of_the_queue(connection: Connection) -> None:
    assert assert_cheap(connection, lambda: queries.queue_state(connection)).oldest_queued_ms == BIG
    assert_cheap(connection, lambda: queries.probe(connection))


@pytest.mark.parametrize("results", [True, False])
@pytest.mark.parametrize("after", [0, JOBS - 200])
def test_a_page_of_jobs_as_they_ended(connection: Connection, after: int, results: bool) -> None:
    batch = queries.find_batch(connection, "ended", NOW_MS)
    page = assert_cheap(
        connection,
        lambda: pages.finished_page(connection, batch, after=after, limit=100, results=results),
    )
    assert [queries.result_seq(row) for row in page.rows] == list(range(after + 1, after + 101))
    assert page.end == after + 100


@pytest.mark.parametrize("position", [0, 1, 2 * JOBS + 3, 4 * JOBS - 1, 4 * JOBS])
def test_a_place_in_a_long_console(connection: Connection, position: int) -> None:
    batch = queries.find_batch(connection, "ended", NOW_MS)
    place = assert_cheap(connection, lambda: pages.console_place(connection, batch, position))
    page = pages.console_page(connection, ENDED, after=place.after, limit=2)
    seqs = [row.key & 0xFFFFFFFF for row in page.rows]
    first = min(position // 4 + 1, JOBS)
    assert seqs == [seq for seq in (first, first + 1) if seq <= JOBS]
    assert place.skip == position - 4 * (first - 1)
    assert pages.console_place(connection, batch, 4 * JOBS + 1) is None
