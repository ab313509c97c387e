"""Nodes come and go, claim and finish; what they say comes in time, late, twice or never."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import Row

from service.errors import StoreUnavailable
from service.model import Capacity, Ending, Outcome
from service.store import cancels, claims, nodes, upkeep
from service.store.transaction import Transaction
from tests.contract.any_order.model import MAX_CRASHES, Given, Model

SILENCE_S = 15

capacities = st.builds(Capacity, *[st.integers(1, 4)] * 3)

ENDINGS = [
    *[(Ending.SUCCEEDED, None)] * 3,
    (Ending.FAILED, None),
    (Ending.FAILED, 0),
    (Ending.FAILED, 5_000),
    (Ending.CANCELLED, None),
    (Ending.DEFERRED, 0),
    (Ending.DEFERRED, 1_000),
    (Ending.HANDED_BACK, None),
]


class Work(Model):
    def begin_anew(self, _: st.DataObject) -> None:
        """A new process, or one that found that it had been taken for dead."""
        if len(self.nodes) < 3:
            self.join()

    def restart(self, _: st.DataObject) -> None:
        """The store's; the nodes go on as what they were."""
        self.store.stop(5.0)
        self.start()

    def die(self, data: st.DataObject) -> None:
        if self.nodes:
            node = self.a_live_node(data)
            self.store.rescue([node], max_crashes=MAX_CRASHES)
            self.bury([node])

    def leave(self, data: st.DataObject) -> None:
        if self.nodes:
            node = self.a_live_node(data)
            self.store.leave(node, 5.0)
            self.bury([node])

    def beat(self, data: st.DataObject) -> None:
        assert not any(map(self.store.beat, self.buried))
        if self.nodes:
            node = self.a_live_node(data)
            assert self.store.beat(node)
            self.nodes[node] = self.clock.steady_s()

    def kill(self, data: st.DataObject) -> None:
        """A job kills each process that runs it, and what runs there with it."""
        for _ in range(data.draw(st.integers(1, 2), "times")):
            node = self.join()
            self.claim_some(Capacity(2, 1, 1), 1, node)
            self.store.rescue([node], max_crashes=MAX_CRASHES)
            self.bury([node])

    def try_a_suspect(self, data: st.DataObject) -> None:
        """In a process of its own, which it may take down."""
        cell = self.join()
        job = self.store.claim_suspect(cell)
        ending = data.draw(st.sampled_from([*ENDINGS, None]), "ending") if job else None
        if job and ending:
            self.given.append(Given(cell, job))
            with self.one_transaction():
                self.store.finish(cell, self.outcome(self.given[-1], *ending))
            self.store.move_out(cell)
        elif job:
            self.store.rescue_suspect(cell, max_crashes=MAX_CRASHES, alone="SIGSEGV")
        self.store.leave(cell, 5.0)
        self.bury([cell])

    def bury_the_silent(self, _: st.DataObject) -> None:
        before = self.clock.steady_s() - SILENCE_S
        silent = self.store.silent_nodes(boot_id="this", timeout_s=SILENCE_S)
        assert silent == [node for node, beat in self.nodes.items() if beat < before]
        self.store.rescue([*self.nodes], max_crashes=MAX_CRASHES, silent_for_s=SILENCE_S)
        self.bury(silent)

    def claim(self, data: st.DataObject) -> None:
        capacity, length = data.draw(capacities, "free"), data.draw(st.integers(1, 3), "length")
        self.claim_some(capacity, length, self.a_node(data))

    def finish(self, data: st.DataObject) -> None:
        """A few outcomes in one transaction: most in time, some late, some twice."""
        if not self.given:
            return
        late = [one for one in self.given if one.job.key in self.holders and not self.holds(one)]
        of_whom = [*self.holders.values(), *late[-2:], *self.given[-1:]]
        said = st.tuples(st.sampled_from(of_whom), st.sampled_from(ENDINGS))
        outcomes = [
            (given, self.outcome(self._as_held(given), *how))
            for given, how in data.draw(st.lists(said, min_size=1, max_size=5), "outcomes")
        ]
        heard = [(given, one) for given, one in outcomes if self.holds(given)]
        before = {given.job.key: self.job(given.job.key) for given, _ in outcomes}
        with self.one_transaction():
            for given, outcome in outcomes:
                self.store.finish(given.node, outcome)
        for key, row in before.items():
            told = [outcome for given, outcome in heard if given.job.key == key]
            check_finish(row, self.job(key), told)
        for given, _ in heard:
            self.holders.pop(given.job.key, None)

    def _as_held(self, given: Given) -> Given:
        """A deferred attempt is made again: by its fence it is the same."""
        return self.holders[given.job.key] if self.holds(given) else given

    def fail(self, data: st.DataObject) -> None:
        """The disk fails at a commit, or one write is wrong: nothing of it has happened."""
        fault = data.draw(st.sampled_from([sqlite3.OperationalError, ValueError]), "fault")
        writes: dict[str, Callable[[Transaction], object]] = {
            "cancel": lambda tx: [cancels.cancel_batch(tx, one.key) for one in self.promised],
            "rescue": lambda tx: nodes.rescue(
                tx, [*self.nodes], max_crashes=2, silent_before_s=None
            ),
            "claim": lambda tx: [
                claims.claim(tx, Capacity(9, 9, 9), node=one) for one in self.nodes
            ],
            "expire": upkeep.expire_piece,
        }
        write = writes[data.draw(st.sampled_from([*writes]), "write")]

        def failing(tx: Transaction) -> None:
            write(tx)
            raise fault("as told")

        beside = [*self.holders.values()][:1] if data.draw(st.booleans(), "beside") else []
        before = self.everything()
        with self.one_transaction():
            for given in beside:
                self.store.finish(given.node, self.outcome(given, Ending.SUCCEEDED))
            failed = self.store.journal.submit(failing)
        assert isinstance(failed.exception(10), StoreUnavailable | ValueError)
        assert beside or self.everything() == before
        for given in beside:
            row = self.job(given.job.key)
            assert row
            assert (row.state, row.result) == ("succeeded", str(self.said))
            del self.holders[given.job.key]


def check_finish(before: Row[Any] | None, after: Row[Any] | None, heard: list[Outcome]) -> None:
    """One of the outcomes was heard, if any should have been; else nothing has changed."""
    if before is None or after is None:
        assert before == after
        assert not heard
    elif heard:
        assert after.state != "running"
        if after.state in ("succeeded", "failed"):
            assert (after.state, after.result, after.error) in {
                (one.ending, one.result, one.error) for one in heard
            }
    elif before.state in ("queued", "waiting"):  # a place at its host may have become free
        assert (after.state in ("queued", "waiting"), after.attempt) == (True, before.attempt)
    else:
        assert after == before, "a late finish was heard"
