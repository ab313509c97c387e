"""Batches as wholes: look, list, wait for the end, cancel, remove."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from sqlalchemy import Row

from service.model import BATCH_ENDED
from service.operations.parts import UseCase
from service.store import listing
from service.store.cancels import Cancelled
from service.store.listing import BatchFilter

FIRST_POLL_S = 0.01
"""A waiting request looks again so soon: another process may have ended the batch. Each pause is
twice as long as the last, so that it learns of a short batch's end in about the batch's time."""

POLL_S = 0.2
"""The longest pause."""


class Batches(UseCase):
    """All raise NotFound, also for what another caller made, and Expired."""

    def show(self, batch_id: str) -> Row[Any]:
        return self._store.find_batch(batch_id, self._caller.owner)

    def list(self, wanted: BatchFilter, *, before: int | None, limit: int) -> Sequence[Row[Any]]:
        """Newest first, from behind the key ``before``."""
        with self._store.snapshot() as connection:
            return listing.list_batches(
                connection,
                wanted,
                before=before,
                limit=limit,
                now_ms=self._parts.clock.now_ms(),
                owner=self._caller.owner,
            )

    def wait_for_end(self, batch_id: str, seconds: float) -> bool:
        """Wait for the batch's end; False if no more requests may wait now."""
        if not self._still_active(batch_id):
            return True
        seat = self._parts.seats.take()
        if seat is None:
            return False
        try:
            with self._parts.news.of(batch_id) as news:
                until, pause_s = monotonic() + seconds, FIRST_POLL_S
                while self._still_active(batch_id) and (left := until - monotonic()) > 0:
                    news.ended.wait(min(left, pause_s))
                    pause_s = min(2 * pause_s, POLL_S)
        finally:
            seat.leave()
        return True

    def _still_active(self, batch_id: str) -> bool:
        draining = self._parts.engine.draining
        return not draining and self.show(batch_id).status not in BATCH_ENDED

    def cancel(self, batch_id: str) -> tuple[Cancelled, bool]:
        """Cancel what is queued, ask what runs to stop; repeatable. True if it had ended."""
        batch = self.show(batch_id)
        if batch.status in BATCH_ENDED:
            return Cancelled(0, 0, more=False), True
        cancelled = self._store.cancel_batch(batch.key)
        self._parts.engine.cancel(batch_key=batch.key)
        return cancelled, False

    def delete(self, batch_id: str) -> None:
        """Remove an ended batch. Raises BatchActive."""
        self._store.delete_batch(self.show(batch_id).key)
