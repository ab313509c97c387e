"""Claiming: which jobs run next, and on which node. Batches take turns, urgent ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from service.model import (
    Capacity,
    ClaimedBatch,
    ClaimedJob,
    Executor,
    JobState,
    PrintLock,
    Shift,
    job_key,
)
from service.store.bulk import rows_of
from service.store.hosts import Parking
from service.store.ledger import Entry
from service.store.schema import SUSPECT_CRASHES
from service.store.suspects import QUARANTINE
from service.store.transaction import Transaction

CRASHES, HOST = 7, 8
"""Where a claimable row has them."""

LOOK = 250
MOST_LOOKS = 8
"""How far a claim looks for jobs behind those whose host is busy, before others have their turn:
so many times so many. What it passed is parked, so the next claim begins behind it."""


Length = Callable[[int], int]
"""How many jobs a shift holds, by its batch's key."""


def one_job(batch_key: int) -> int:
    """For shifts of one job each."""
    del batch_key
    return 1


class Taken(NamedTuple):
    """What a batch gave to a claim: jobs for so many shifts."""

    batch: ClaimedBatch
    rows: list[Any]
    places: int
    claimed_ms: int | None

    def shifts(self) -> Iterator[Shift]:
        jobs = [ClaimedJob._make((*row, self.claimed_ms, self.batch)) for row in self.rows]
        return (Shift(self.batch, jobs[n :: self.places]) for n in range(self.places))


class Claim:
    """What a claim got. ``more``: it met jobs whose host is busy, and may not have looked
    behind all of them; ask again."""

    def __init__(self, taken: Sequence[Taken], *, more: bool) -> None:
        self._taken = taken
        self.more = more

    @cached_property
    def shifts(self) -> list[Shift]:
        """Made when asked for: the next writer need not wait for that."""
        return [shift for taken in self._taken for shift in taken.shifts()]


class Wish(NamedTuple):
    """A claim that somebody wants made. ``told`` hears how it went once it is committed, or can't
    be, on the journal's thread: in the order of the commits, and before the next one begins."""

    capacity: Capacity
    node: int
    length: Length
    told: Callable[[Future[Claim]], None]


class Turn(NamedTuple):
    """A batch that has jobs to run, and room for ``room`` of them now."""

    batch: ClaimedBatch
    pinned: bool
    room: int
    priority: int


def claim(tx: Transaction, capacity: Capacity, *, node: int, length: Length = one_job) -> Claim:
    """Make queued jobs running, owned by ``node``: up to ``capacity`` shifts of them.

    A shift holds as many jobs as ``length`` says.

    Higher priority goes first. Among equals the capacity is dealt out a job at a time, the
    batch that has waited longest for its turn first, so a small batch need not wait for the
    end of a big one. A batch gets no more than its own width leaves.
    """
    tx.settle()
    if not tx.sql.is_node.run(tx.cursor, {"node": node}).fetchone():
        return Claim([], more=False)  # taken for dead: what it claimed nobody would rescue
    parked_before, taken = tx.parked, list[Taken]()
    for executor, places in capacity._asdict().items():
        turns = _turns_of(tx, executor, places, node) if places else []
        while turns and places:
            hungry = []
            for turn, share in _deal(turns, places):
                got = _take(tx, turn, share, node, length)
                if got is None:
                    continue
                taken.append(got)
                places -= got.places
                room = turn.room - len(got.rows)
                if got.places == share and room > 0:
                    hungry.append(turn._replace(room=room))
            turns = hungry  # what some could not use goes to those who can use more
    return Claim(taken, more=tx.parked > parked_before)


def _turns_of(tx: Transaction, executor: str, places: int, node: int) -> list[Turn]:
    binds = {"executor": executor, "owner": node, "most": places}
    rows = tx.sql.claimable_batches.run(tx.cursor, binds).fetchall()
    return [
        Turn(
            ClaimedBatch(key, public_id, Executor(executor), PrintLock(lock), max_workers),
            bool(pinned),
            min(free, ready),
            priority,
        )
        for key, public_id, lock, max_workers, pinned, free, ready, priority in rows
    ]


def _deal(turns: list[Turn], places: int) -> list[tuple[Turn, int]]:
    """Share the places out among the turns; those of the highest priority first."""
    shares: list[tuple[Turn, int]] = []
    for priority in sorted({turn.priority for turn in turns}, reverse=True):
        equals = [turn for turn in turns if turn.priority == priority]
        dealt = _deal_evenly([turn.room for turn in equals], places)
        places -= sum(dealt)
        shares += [(turn, n) for turn, n in zip(equals, dealt, strict=True) if n]
    return shares


def _deal_evenly(rooms: list[int], free: int) -> list[int]:
    dealt = [0] * len(rooms)
    while free > 0 and any(d < room for d, room in zip(dealt, rooms, strict=True)):
        hungry = [i for i, room in enumerate(rooms) if dealt[i] < room]
        each = max(1, free // len(hungry))
        for i in hungry:
            n = min(each, rooms[i] - dealt[i], free)
            dealt[i] += n
            free -= n
    return dealt


def _take(tx: Transaction, turn: Turn, places: int, node: int, length: Length) -> Taken | None:
    batch = turn.batch
    entry = tx.ledger.batch(batch.key)
    most = min(turn.room, places * length(batch.key))
    if entry is None or most <= 0:
        return None
    entry.turn = tx.next_turn()  # it had its turn, whatever it made of it
    binds = {
        "first": job_key(batch.key, 0),
        "last": job_key(batch.key + 1, 0) - 1,
        "most": most,
    }
    rows = _admitted(tx, entry, binds)
    if not rows:
        return None
    keys = rows_of([key for key, *_ in rows])
    # in a shift of several all but one only wait for the thread: they are not live
    live = len(rows) <= places
    claimed_ms = tx.now_ms if live else None
    taken = {"rows": keys, "owner": node, "now": tx.now_ms, "claimed": claimed_ms}
    tx.sql.claim_jobs.run(tx.cursor, taken)
    entry.count(JobState.QUEUED, -len(rows))
    entry.count(JobState.RUNNING, len(rows))
    if live:
        entry.live += len(rows)
        entry.live_claimed_ms += tx.now_ms * len(rows)
    entry.started_ms = entry.started_ms or tx.now_ms
    if turn.pinned:
        entry.home = node
    return Taken(batch, rows, min(places, len(rows)), claimed_ms)


def _admitted(tx: Transaction, entry: Entry, binds: dict[str, int]) -> list[Any]:
    """The next jobs that nothing keeps; those that have to wait are parked on the way."""
    admitted: list[Any] = []
    most, look = binds["most"], binds["most"]
    for _ in range(MOST_LOOKS):
        found = tx.sql.claimable_jobs.run(tx.cursor, {**binds, "most": look})
        text, crashes, visitors = found.fetchone()
        rows: list[Any] = orjson.loads(text)
        nothing_keeps = not visitors and (crashes or 0) < SUSPECT_CRASHES
        if nothing_keeps and not admitted and len(rows) <= most:
            return rows  # as mostly: no need to look at each
        parked = []
        for row in rows:
            if len(admitted) == most:
                break
            parking = _parking(tx, row)
            if parking is None:
                admitted.append(row)
            else:
                parked.append((row[0], *parking))
        if parked:
            tx.sql.park_jobs.run(tx.cursor, {"rows": rows_of(parked)})
            entry.waiting += len(parked)
            tx.parked += len(parked)
        if len(admitted) == most or len(rows) < look:
            break
        # the admitted are still queued: look behind them, and further, since most may be parked
        binds["first"], look = rows[-1][0] + 1, LOOK
    return admitted


def _parking(tx: Transaction, row: Any) -> Parking | None:
    """What a claimable job has to wait for; None if it may run."""
    if row[CRASHES] >= SUSPECT_CRASHES:
        return Parking(QUARANTINE, None)
    return tx.hosts.enter(row[HOST]) if row[HOST] else None
