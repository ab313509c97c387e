"""Batches come: at once, in parts, again with the same key; and keys are made."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from sqlalchemy import select

from service.errors import KeyReused, QueueFull, StoreUnavailable
from service.model import BATCH_ENDED, BatchOptions, Executor, JobSpec, PrintLock, job_key
from service.store import keys, submits
from service.store.schema import batches, jobs
from service.store.submits import Remembered, Sealed, Terms
from service.store.transaction import Transaction
from tests.contract.any_order.model import Model, Received

MOST_QUEUED = 40
REMEMBER_S = 100
TTL_S = 60

specs = st.builds(
    JobSpec,
    type=st.just("numbers"),
    params=st.just('{"count":1}'),
    custom_id=st.none(),
    timeout_s=st.none(),
    max_attempts=st.just(2),
    host=st.sampled_from([None, None, "a", "b"]),
)
options = st.builds(
    BatchOptions,
    executor=st.sampled_from(Executor),
    lock=st.sampled_from(PrintLock),
    max_workers=st.sampled_from([None, 1, 2]),
    priority=st.sampled_from([0, 0, 1]),
    labels=st.sampled_from([{}, {"a": "b"}]),
)


batch = st.lists(specs, min_size=3, max_size=7)
part_of_batch = st.lists(specs, min_size=1, max_size=3)


class Arrivals(Model):
    def submit(self, data: st.DataObject) -> None:
        self._submit(data.draw(batch, "jobs"), data.draw(options, "options"), data)

    def _submit(self, some: list[JobSpec], how: BatchOptions, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([None, None, "k", "l"]), "key")
        owner = data.draw(st.sampled_from(self.keys), "owner")
        request = repr((some, how))
        known = self._known(owner, key)
        room = MOST_QUEUED - self.queued()
        try:
            sealed = self.store.submit(
                how,
                some,
                node=self.a_node(data),
                ttl_s=TTL_S,
                most_queued=MOST_QUEUED,
                remember=lambda: Remembered(key, request) if key else None,
                remember_s=REMEMBER_S,
                owner=owner,
                key_hash=key,
            )
        except KeyReused:
            assert known
            assert known[0] != request
        except QueueFull:
            assert not known
            assert len(some) > room
        else:
            assert sealed.replayed == (known is not None)
            if known:
                assert (request, sealed.batch_key) == known
                return
            assert len(some) <= room
            self.promised.append(sealed.batch)
            self.owners[sealed.batch_key] = owner
            if key:
                expires_ms = self.clock.now_ms() + REMEMBER_S * 1000
                self.remembered[owner, key] = (request, sealed.batch_key, expires_ms)

    def _known(self, owner: int, key: str | None) -> tuple[str, int] | None:
        request, batch_key, expires_ms = self.remembered.get((owner, key or ""), ("", 0, 0))
        return (request, batch_key) if expires_ms > self.clock.now_ms() else None

    @initialize(first=batch, data=st.data())
    def begin(self, first: list[JobSpec], data: st.DataObject) -> None:
        self._make_a_key(adopts=False)
        self._submit(first, BatchOptions(), data)

    def retry(self, data: st.DataObject) -> None:
        """A new batch of what did not succeed in one that has ended."""
        if not self.promised:
            return
        batch, node = self.a_batch(data), self.a_node(data)
        first, last = job_key(batch.key, 0), job_key(batch.key + 1, 0) - 1
        unhappy = jobs.c.key.between(first, last), jobs.c.state.in_(["failed", "cancelled"])
        with self.store.snapshot() as connection:
            found = select(*(jobs.c[name] for name in JobSpec._fields)).where(*unhappy)
            again = [JobSpec(*row) for row in connection.execute(found.order_by(jobs.c.key))]
        ended = self.row(batch).status in BATCH_ENDED
        if again and ended and len(again) + self.queued() <= MOST_QUEUED:
            owner = self.owners[batch.key]
            sealed = self.store.submit(
                BatchOptions(retry_of=batch.id),
                again,
                node=node,
                ttl_s=TTL_S,
                most_queued=MOST_QUEUED,
                owner=owner,
            )
            self.promised.append(sealed.batch)
            self.owners[sealed.batch_key] = owner

    def receive_a_part(self, data: st.DataObject) -> None:
        some, node = data.draw(part_of_batch, "some"), self.a_node(data)

        def begin(tx: Transaction) -> int:
            key = submits.stage(tx, BatchOptions(), node=node, ttl_s=TTL_S)
            submits.insert_jobs(tx, key, 0, some)
            return key

        key = self.store.journal.write(begin)
        self.received.append(Received(node, key, len(some)))
        self.owners[key] = keys.NO_OWNER

    def receive_the_rest(self, data: st.DataObject) -> None:
        if not self.received:
            return
        part = data.draw(st.sampled_from(self.received), "part")
        some = data.draw(part_of_batch, "some")

        def end(tx: Transaction) -> Sealed:
            total = part.jobs + len(some)
            submits.insert_jobs(tx, part.key, part.jobs, some)
            return submits.seal(tx, part.key, total, Terms(most_queued=10**6), None)

        self.received.remove(part)
        if part.key not in self.disowned:
            self.promised.append(self.store.journal.write(end).batch)
        else:
            with pytest.raises(StoreUnavailable, match="send it again"):
                self.store.journal.write(end)

    def sweep(self, _: st.DataObject) -> None:
        """Nothing is left of what nobody will receive to its end."""
        self.disowned |= {part.key for part in self.received if part.node not in self.nodes}
        while self.store.sweep_piece():
            pass
        with self.store.snapshot() as connection:
            staged = select(batches.c.key).where(batches.c.status == "staging")
            left = set(connection.execute(staged).scalars())
        assert left == {part.key for part in self.received} - self.disowned

    def make_a_key(self, data: st.DataObject) -> None:
        if len(self.keys) < 4:
            self._make_a_key(adopts=data.draw(st.booleans(), "adopts"))

    def _make_a_key(self, *, adopts: bool) -> None:
        def make(tx: Transaction) -> int:
            tx.settle()
            key = keys.add(
                tx.connection,
                name=f"key-{len(self.keys)}",
                secret_hash="",
                max_queued_jobs=None,
                batches_per_minute=None,
                now_ms=tx.now_ms,
            )
            while adopts and keys.adopt_piece(tx.connection, key):
                pass
            return key

        key = self.store.journal.write(make)
        self.keys.append(key)
        if adopts:
            self.owners = {batch: owner or key for batch, owner in self.owners.items()}
            known = self.remembered.items()
            self.remembered = {(owner or key, k): value for (owner, k), value in known}
