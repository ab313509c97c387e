"""The store's face: use it from any thread of one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row

from service.clock import Clock
from service.errors import NotFound, StoreUnavailable
from service.model import (
    NO_QUOTAS,
    BatchOptions,
    Capacity,
    ClaimedJob,
    Committed,
    ConsoleText,
    Executor,
    JobSpec,
    Outcome,
    Quotas,
)
from service.store import beginnings, cancels, claims, nodes, submits, suspects, upkeep
from service.store.beginnings import Beginning
from service.store.cancels import Cancelled
from service.store.census import Census
from service.store.claims import Claim, Wish
from service.store.database import Database, Watch
from service.store.hosts import HostRules
from service.store.journal import Journal, Pending
from service.store.keys import NO_OWNER, Found, KeyLookup
from service.store.nodes import Rescued
from service.store.outlook import Lookout, Outlook
from service.store.queries import BatchLookup
from service.store.statements import Statements
from service.store.submits import Remembered, Sealed, Terms
from service.store.transaction import Transaction

T = TypeVar("T")

STAGE = 2_000
"""Jobs written in one transaction: a huge batch must not keep the others waiting."""


class Store:
    """Reads from snapshots, writes through the journal.

    Every write returns once it is committed and synced; StoreUnavailable means that nothing of
    it has happened. ``finish`` and ``print`` alone do not wait.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        rules: HostRules,
        *,
        on_commit: Callable[[Committed], None],
        measure: Callable[[Committed], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._keys = KeyLookup(database.dialect)
        self._batches = BatchLookup(database.dialect)
        self._lookout = Lookout(database.dialect)
        self._census = Census(database.dialect)
        self.journal = Journal(
            database,
            Statements(database.dialect),
            clock,
            rules,
            on_commit=on_commit,
            measure=measure,
        )

    def start(self) -> None:
        self.journal.start()

    def stop(self, deadline_s: float) -> None:
        self.journal.stop(deadline_s)
        self._database.close()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Reads inside see one moment. Keep it short: it holds back the WAL's checkpoint."""
        with self._database.snapshot() as connection:
            yield connection

    def find_key(self, key_id: int) -> Found:
        """Raises StoreUnavailable."""
        return self._keys.find(self._database, key_id)

    # --- batches --------------------------------------------------------------------------

    def find_batch(self, batch_id: str, owner: int) -> Row[Any]:
        """Raises NotFound, also for what another owner has, Expired, StoreUnavailable."""
        return self._batches.find(self._database, batch_id, self._clock.now_ms(), owner)

    def submit(
        self,
        options: BatchOptions,
        specs: Iterable[JobSpec],
        *,
        node: int,
        ttl_s: int,
        most_queued: int,
        remember: Callable[[], Remembered | None] = lambda: None,
        remember_s: int = 0,
        owner: int = NO_OWNER,
        quotas: Quotas = NO_QUOTAS,
        key_hash: str | None = None,
    ) -> Sealed:
        """Write a batch down, whole or not at all; ``specs`` may be a stream.

        What the stream raises is passed on, and nothing of the batch stays. ``remember`` is
        asked once the stream has ended. ``quotas`` bind an owner that has none of its own. A long
        stream is left once it is over a bound, unless an Idempotency-Key of ``key_hash`` made a
        batch before.
        Raises KeyReused, QuotaUsed, QueueFull, Unauthorized, StoreUnavailable.
        """
        stream = iter(specs)
        first = list(islice(stream, STAGE))
        rest = list(islice(stream, STAGE))
        terms = Terms(most_queued, remember_s, owner, quotas)

        def begin(tx: Transaction) -> int:
            key = submits.stage(tx, options, node=node, ttl_s=ttl_s, owner=owner)
            submits.insert_jobs(tx, key, 0, first)
            return key

        def go_on(tx: Transaction, key: int, total: int, some: list[JobSpec]) -> None:
            submits.refuse_hopeless(tx, total + len(some), terms, key_hash=key_hash)
            submits.insert_jobs(tx, key, total, some)

        if not rest:
            return self.journal.write(
                lambda tx: submits.accept(tx, options, first, terms, remember(), ttl_s=ttl_s)
            )
        key = self.journal.write(begin)
        try:
            total = len(first)
            while rest:
                self.journal.write(partial(go_on, key=key, total=total, some=rest))
                total += len(rest)
                rest = list(islice(stream, STAGE))
            return self.journal.write(lambda tx: submits.seal(tx, key, total, terms, remember()))
        except BaseException:
            self._abandon(key)
            raise

    def _abandon(self, key: int) -> None:
        try:
            self.journal.write(partial(submits.disown, batch_key=key))
        except StoreUnavailable:
            pass  # it stays this node's, and is nobody's once the node is no more

    def cancel_batch(self, batch_key: int) -> Cancelled:
        """Cancel every queued job and flag the running ones; the sums of all pieces."""
        queued = 0
        while True:
            piece = self.journal.write(partial(cancels.cancel_batch, batch_key=batch_key))
            queued += piece.queued
            if not piece.more:
                return Cancelled(queued, piece.running, more=False)

    def finish_cancels(self) -> bool:
        """Go on with a cancel that was interrupted; True while there may be more to do."""
        with self.snapshot() as connection:
            key = cancels.unfinished_cancel(connection)
        if key is not None:
            self.journal.write(partial(cancels.cancel_batch, batch_key=key))
        return key is not None

    def cancel_job(self, key: int, batch_key: int) -> str:
        """Cancel one job; returns the state it was in. Raises NotFound."""
        state = self.journal.write(partial(cancels.cancel_job, key=key, batch_key=batch_key))
        if state is None:
            raise NotFound
        return state

    def delete_batch(self, batch_key: int) -> None:
        """Remove an ended batch and all that belongs to it. Raises BatchActive."""
        while self.journal.write(partial(upkeep.delete_piece, batch_key=batch_key)):
            pass

    # --- running --------------------------------------------------------------------------

    def claim(self, capacity: Capacity, node: int, length: claims.Length = claims.one_job) -> Claim:
        """Claim up to ``capacity`` shifts, each of the ``length`` of its batch."""
        return self.journal.write(
            partial(claims.claim, capacity=capacity, node=node, length=length)
        )

    def wish(self, wish: Wish) -> None:
        """As ``claim``, without waiting, and after all else that goes into the transaction."""
        self.journal.enqueue(_claiming(wish))

    def feed(self, hungry: Callable[[set[Executor]], Wish | None]) -> None:
        """From now on ask ``hungry`` at the end of each transaction that leaves jobs ready for some
        executors, and claim for it in the same one. For whoever runs the jobs of this process."""

        def claim_along(ready: set[Executor]) -> Pending | None:
            wish = hungry(ready)
            return wish and _claiming(wish)

        self.journal.along = claim_along

    def suspect_waits(self) -> bool:
        """Whether there is a suspect that may run now, but for its host."""
        with self.snapshot() as connection:
            return suspects.any_waits(connection)

    def claim_suspect(self, node: int) -> ClaimedJob | None:
        """Claim a job for a node that runs nothing else; after it ``move_out``."""
        return self.journal.write(partial(suspects.claim_suspect, node=node))

    def move_out(self, node: int) -> None:
        """Whatever batch had to be at this node goes on where it likes."""
        self.journal.write(partial(suspects.move_out, node=node))

    def finish(self, node: int, outcome: Outcome, *, more: bool = False) -> None:
        """Hand over an outcome; it is written down with the next transaction, a little later if
        there are ``more`` to come: jobs of the batch that are under way."""
        self.journal.finish(node, outcome, more=more)

    def note_beginnings(self, node: int, begun: Sequence[Beginning]) -> Future[None]:
        """Let it be seen of running jobs where they run. Each need be told once; does not wait."""
        return self.journal.submit(partial(beginnings.note, beginnings=begun, node=node))

    def print(self, key: int, text: str) -> None:
        """Hand over printed text; it is written down within a moment, in this order."""
        self.journal.print(ConsoleText(key, text))

    # --- nodes and time -------------------------------------------------------------------

    def register(self, *, pid: int, boot_id: str, lock: str) -> int:
        """A new node, whose process holds the lock file of this name. Returns its key."""
        return self.journal.write(partial(nodes.register, pid=pid, boot_id=boot_id, lock=lock))

    def beat(self, node: int) -> bool:
        return self.journal.write(partial(nodes.beat, node=node))

    def leave(self, node: int, timeout_s: float) -> None:
        """Be a node no more; what it still owns goes back to the queue.

        Raises TimeoutError if the store takes longer: a rescue will do it then.
        """
        self.journal.submit(partial(nodes.leave, node=node)).result(timeout_s)

    def silent_nodes(self, *, boot_id: str, timeout_s: float) -> list[int]:
        before_s = self._clock.steady_s() - timeout_s
        return self._census.silent(self._database, boot_id=boot_id, before_s=before_s)

    def ownerless(self) -> list[int]:
        """Owners of running jobs that are no node any more."""
        return self._census.ownerless(self._database)

    def rescue(
        self, dead: list[int], *, max_crashes: int, silent_for_s: float | None = None
    ) -> Rescued:
        """Rescue dead nodes' jobs; with ``silent_for_s`` only of those silent for so long."""
        before = None if silent_for_s is None else self._clock.steady_s() - silent_for_s
        return self.journal.write(
            partial(nodes.rescue, dead=dead, max_crashes=max_crashes, silent_before_s=before)
        )

    def rescue_suspect(self, node: int, *, max_crashes: int, alone: str) -> Rescued:
        """As ``rescue``, of a node whose process ended (``alone`` says how) with one job in it,
        and by nobody else's doing: that job is to blame."""
        return self.journal.write(
            partial(nodes.rescue, dead=[node], max_crashes=max_crashes, alone=alone)
        )

    def live_nodes(self) -> dict[int, str]:
        """The nodes that are known, and the names of their lock files."""
        return self._census.locks(self._database)

    def look(self, node: int) -> Outlook:
        """What others may have written that concerns this node."""
        return self._lookout.look(self._database, node)

    def watch(self) -> Watch:
        """Tells when other processes have written. For one thread, which closes it."""
        return self._database.watch()

    def wake_due(self) -> float | None:
        """Queue the jobs whose delay is over; returns the seconds until the next one's is."""
        due_ms = self.journal.write(upkeep.wake_due)
        return None if due_ms is None else self.seconds_until(due_ms)

    def seconds_until(self, moment_ms: int) -> float:
        return max(0.0, (moment_ms - self._clock.now_ms()) / 1000)

    def sweep_piece(self) -> bool:
        """Remove a piece of a batch that was not received to its end; True while there is more."""
        return self.journal.write(submits.sweep_piece)

    def wake_forgotten(self) -> None:
        """Let no job wait for a host that has places free."""
        self.journal.write(upkeep.wake_forgotten)

    def expire_piece(self) -> bool:
        return self.journal.write(upkeep.expire_piece)


def _claiming(wish: Wish) -> Pending:
    capacity, node, length, told = wish
    write = partial(claims.claim, capacity=capacity, node=node, length=length)
    return Pending(write, last=True, told=told)
