"""Batches are cancelled, time goes by, and what has ended is removed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from service.errors import BatchActive, Expired, NotFound
from service.model import BATCH_ENDED, batch_of, job_key
from service.store import cancels
from service.store.submits import Accepted
from tests.contract.any_order.model import Model


class Ends(Model):
    def cancel(self, data: st.DataObject) -> None:
        if self.promised:
            self._cancel(self.a_batch(data), whole=True)

    def cancel_in_part(self, data: st.DataObject) -> None:
        if self.promised:
            self._cancel(self.a_batch(data), whole=False)

    def _cancel(self, batch: Accepted, *, whole: bool) -> None:
        before = self.row(batch)
        if whole:
            self.store.cancel_batch(batch.key)
        else:  # it is interrupted after the first piece
            self.store.journal.write(lambda tx: cancels.cancel_batch(tx, batch.key))
        after = self.row(batch)
        if before.status in BATCH_ENDED:
            assert (after.status, after.outcome) == (before.status, before.outcome)
        else:
            assert after.status in ("cancelling", "cancelled")
            assert not (whole and after.queued)

    def cancel_a_job(self, data: st.DataObject) -> None:
        if not self.promised:
            return
        batch = self.a_batch(data)
        key = job_key(batch.key, data.draw(st.integers(0, batch.total), "index"))
        if self.job(key) is None:
            with pytest.raises(NotFound):
                self.store.cancel_job(key, batch.key)
            return
        state = self.store.cancel_job(key, batch.key)
        after: Any = self.job(key)
        assert after.state == ("cancelled" if state in ("queued", "waiting") else state)
        assert (state == "running") == (key in self.holders)
        assert after.cancelling or state != "running"

    def delete(self, data: st.DataObject) -> None:
        if not self.promised:
            return
        batch = self.a_batch(data)
        if self.row(batch).status in BATCH_ENDED:
            self.store.delete_batch(batch.key)
            self._forget(batch, NotFound)
        else:
            with pytest.raises(BatchActive):
                self.store.delete_batch(batch.key)

    def time_goes_by(self, data: st.DataObject) -> None:
        self.clock.ahead_ms += data.draw(st.sampled_from([100, 1_000, 5_000, 16_000, 61_000]), "ms")
        self.store.wake_due()

    def wake_forgotten(self, _: st.DataObject) -> None:
        self.store.wake_forgotten()

    def expire(self, _: st.DataObject) -> None:
        self._expire(whole=True)

    def expire_in_part(self, _: st.DataObject) -> None:
        self._expire(whole=False)

    def finish_cancels(self, _: st.DataObject) -> None:
        while self.store.finish_cancels():
            pass
        for row in map(self.row, self.promised):
            assert not (row.cancel_requested and row.queued)

    def _expire(self, *, whole: bool) -> None:
        due = [batch for batch in self.promised if self.is_over(batch)]
        while self.store.expire_piece() and whole:
            pass
        for batch in due:
            if self.row(batch) is None:
                self._forget(batch, Expired)
        assert not whole or not any(map(self.is_over, self.promised))

    def _forget(self, batch: Accepted, answer: type[Exception]) -> None:
        assert self.row(batch) is None
        self.promised.remove(batch)
        self.gone[batch] = answer
        self.recorded = {k: v for k, v in self.recorded.items() if batch_of(k) != batch.key}
