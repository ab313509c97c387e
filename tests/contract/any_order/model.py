"""What the store has promised so far, and what therefore has to be true of it now."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from shutil import copy
from threading import Event
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import Row, Table, select

from service.errors import Expired, NotFound
from service.model import (
    BATCH_ENDED,
    Capacity,
    ClaimedJob,
    Ending,
    HostWish,
    Outcome,
    batch_of,
)
from service.store import queries
from service.store.database import Database
from service.store.hosts import HostRules
from service.store.keys import NO_OWNER
from service.store.schema import batches, jobs, metadata
from service.store.store import Store
from service.store.submits import Accepted
from tests.support.audit import flaws
from tests.support.clock import StoppedClock

MAX_CRASHES = 3
RULES = HostRules(concurrency=2, gap_ms=100)
A_DAY_MS = 86_400_000


class Given(NamedTuple):
    """A job that was given to a node."""

    node: int
    job: ClaimedJob

    def __repr__(self) -> str:
        return f"<job {self.job.key:#x}, attempt {self.job.attempt}, of node {self.node}>"

    @property
    def fence(self) -> tuple[int, int, int]:
        return self.node, self.job.key, self.job.attempt


class Received(NamedTuple):
    """A batch of which a node has received so many jobs, and not yet all."""

    node: int
    key: int
    jobs: int


class Recorded(NamedTuple):
    """What is recorded of a job that has ended."""

    state: str
    attempt: int
    result: str | None
    error: str | None
    finish_key: int


class Model(RuleBasedStateMachine):
    """What was promised. The moves are in the classes made of this one."""

    def __init__(self, open_database: Callable[[Path], Database], empty: Path) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(dir=empty.parent)
        for file in empty.iterdir():
            copy(file, self._folder.name)
        self._open = lambda: open_database(Path(self._folder.name))
        self.clock = StoppedClock()
        self.start()
        self.nodes: dict[int, float] = {}  # and when each has beaten last
        self.buried: list[int] = []
        self.given: list[Given] = []
        self.holders: dict[int, Given] = {}  # who has a running job, by its key
        self.promised: list[Accepted] = []  # batches that were acknowledged, and are there
        self.gone: dict[Accepted, type[Exception]] = {}  # others, and what they are answered
        self.keys = [NO_OWNER]
        self.owners: dict[int, int] = {}  # of all batches there have ever been, by their keys
        self.received: list[Received] = []
        self.disowned: set[int] = set()  # those of them that will not be
        self.remembered: dict[tuple[int, str], tuple[str, int, int]] = {}
        self.recorded: dict[int, Recorded] = {}
        self.said = 0  # outcomes so far: each has a text of its own
        self.join()
        self.join()

    def start(self) -> None:
        self.store = Store(self._open(), self.clock, RULES, on_commit=lambda _: None)
        self.store.start()

    def teardown(self) -> None:
        try:
            self.what_was_accepted_comes_to_its_end()
            self.it_adds_up()
            self.look()
        finally:
            self.store.stop(5.0)
            self._folder.cleanup()

    # --- what has to be true ----------------------------------------------------------------

    @invariant()
    def it_adds_up(self) -> None:
        with self.store.snapshot() as connection:
            found = flaws(connection, self.clock.now_ms())
            assert not found, "\n".join(found)
            ended = select(*(jobs.c[name] for name in ("key", *Recorded._fields)))
            now = {
                key: Recorded(*row)
                for key, *row in connection.execute(ended.where(jobs.c.finish_key.is_not(None)))
            }
            for key, recorded in self.recorded.items():
                assert now.get(key) == recorded, "what was recorded has changed"
            # what is over is removed, in pieces
            goes_on = batches.c.expires_ms.is_(None) | (batches.c.expires_ms > self.clock.now_ms())
            there = set(connection.execute(select(batches.c.key).where(goes_on)).scalars())
            self.recorded = {key: row for key, row in now.items() if batch_of(key) in there}
            running = select(jobs.c.key, jobs.c.owner, jobs.c.attempt).where(
                jobs.c.state == "running"
            )
            assert {(owner, key, n) for key, owner, n in connection.execute(running)} == {
                holder.fence for holder in self.holders.values()
            }

    def look(self, _: st.DataObject | None = None) -> None:
        """An id is answered by what became of its batch."""
        now_ms = self.clock.now_ms()
        with self.store.snapshot() as connection:
            for batch in self.promised:
                self._is_answered(connection, batch, Expired if self.is_over(batch) else None)
            for batch, answer in self.gone.items():
                self._is_answered(connection, batch, answer)
            with pytest.raises(NotFound):
                queries.find_batch(connection, "0" * 20, now_ms)

    def _is_answered(
        self, connection: Any, batch: Accepted, answer: type[Exception] | None
    ) -> None:
        """To its owner; to all others it is unknown."""
        for owner in self.keys:
            wanted = answer if owner == self.owners[batch.key] else NotFound
            with pytest.raises(wanted) if wanted else nullcontext():
                queries.find_batch(connection, batch.id, self.clock.now_ms(), owner)
            with pytest.raises(wanted) if wanted else nullcontext():
                self.store.find_batch(batch.id, owner)

    def what_was_accepted_comes_to_its_end(self) -> None:
        """All crash twice; then, with all else at rest, it is brought to an end, and expires."""
        for _ in range(2):
            self.claim_some(Capacity(9, 9, 9), 1, self.join())
            self.store.rescue([*self.nodes], max_crashes=MAX_CRASHES)
            self.bury([*self.nodes])
        node, cell = self.join(), self.join()
        while self.store.finish_cancels() or self.store.sweep_piece():
            pass
        for _ in range(200):
            if all(self.row(batch).status in BATCH_ENDED for batch in self.promised):
                break
            self.clock.ahead_ms += 1_000
            self.store.wake_due()
            self.store.wake_forgotten()
            self.claim_some(Capacity(9, 9, 9), 1, node)
            while suspect := self.store.claim_suspect(cell):
                self.holders[suspect.key] = Given(cell, suspect)
                self.it_adds_up()
                self.end(self.holders[suspect.key])
                self.store.move_out(cell)
            for holder in [*self.holders.values()]:
                self.end(holder)
            self.store.journal.write(lambda _: None)
        left = [batch for batch in self.promised if self.row(batch).status not in BATCH_ENDED]
        assert not left, "these never end"
        self.clock.ahead_ms += A_DAY_MS
        while self.store.expire_piece():
            pass
        self.gone |= dict.fromkeys(self.promised, Expired)
        self.promised.clear()
        self.recorded.clear()

    def end(self, holder: Given) -> None:
        self.store.finish(holder.node, self.outcome(holder, Ending.SUCCEEDED))
        del self.holders[holder.job.key]

    # --- what the moves ask -----------------------------------------------------------------

    def a_node(self, data: st.DataObject) -> int:
        """One of those that are, or one that the others took for dead and that goes on."""
        others = self.buried[-1:] if self.nodes else self.buried
        return int(data.draw(st.sampled_from([*self.nodes, *others]), "node"))

    def a_live_node(self, data: st.DataObject) -> int:
        return int(data.draw(st.sampled_from([*self.nodes]), "node"))

    def a_batch(self, data: st.DataObject) -> Accepted:
        return data.draw(st.sampled_from(self.promised), "batch")

    def join(self) -> int:
        node = self.store.register(pid=1, boot_id="this", lock="none.lock")
        assert node not in (*self.nodes, *self.buried)
        self.nodes[node] = self.clock.steady_s()
        return node

    def bury(self, dead: Iterable[int]) -> None:
        """Whatever they had is another's from now on, or nobody's."""
        for node in dead:
            del self.nodes[node]
            self.buried.append(node)
            self.disowned |= {part.key for part in self.received if part.node == node}
        held = self.holders.values()
        self.holders = {one.job.key: one for one in held if one.node in self.nodes}

    def claim_some(self, capacity: Capacity, length: int, node: int) -> None:
        shifts = self.store.claim(capacity, node, lambda _: length).shifts
        assert node in self.nodes or not shifts
        for shift in shifts:
            assert not self.row_of(shift.batch.key).cancel_requested
            for job in shift.jobs:
                assert job.key not in self.holders, "it is another's"
                assert job.key not in self.recorded, "it has ended"
                assert job.crashes < MAX_CRASHES
                self.holders[job.key] = Given(node, job)
                self.given.append(self.holders[job.key])

    def holds(self, given: Given) -> bool:
        holder = self.holders.get(given.job.key)
        return holder is not None and holder.fence == given.fence

    def outcome(self, given: Given, ending: Ending, delay_ms: int | None = None) -> Outcome:
        job, now_ms = given.job, self.clock.now_ms()
        self.said += 1
        well = ending is Ending.SUCCEEDED
        return Outcome(
            key=job.key,
            attempt=job.attempt,
            claimed_ms=job.claimed_ms,
            ending=ending,
            result=str(self.said) if well else None,
            error=None if well else str(self.said),
            thread="pool_0",
            started_ms=now_ms,
            finished_ms=now_ms,
            cpu_us=1,
            concurrent=1,
            not_before_ms=None if delay_ms is None else now_ms + delay_ms,
            wait_reason=None if delay_ms is None else "retry_backoff",
            host=job.host,
            host_wish=HostWish(gap_ms=200) if self.said % 5 == 0 else None,
        )

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """What is handed over inside is written together; it has been, when this ends."""
        blocks, go_on = Event(), Event()
        blocked = self.store.journal.submit(lambda _: (blocks.set(), go_on.wait(10)))
        assert blocks.wait(10)
        yield
        go_on.set()
        blocked.result(10)
        self.store.journal.write(lambda _: None)

    def row(self, batch: Accepted) -> Any:
        """None once it has been removed."""
        return self.row_of(batch.key)

    def row_of(self, key: int) -> Any:
        with self.store.snapshot() as connection:
            return connection.execute(select(batches).where(batches.c.key == key)).one_or_none()

    def is_over(self, batch: Accepted) -> bool:
        row = self.row(batch)
        return row.expires_ms is not None and row.expires_ms <= self.clock.now_ms()

    def job(self, key: int) -> Row[Any] | None:
        with self.store.snapshot() as connection:
            return queries.find_job(connection, key)

    def queued(self) -> int:
        with self.store.snapshot() as connection:
            return queries.queue_state(connection).queued

    def everything(self) -> dict[str, list[Any]]:
        """All rows of all tables."""
        tables: list[Table] = list(metadata.tables.values())
        with self.store.snapshot() as connection:
            return {
                one.name: sorted(connection.execute(select(one)).all(), key=repr) for one in tables
            }
