"""What a key may use of the service, checked and counted in the submit's own transaction."""

from __future__ import annotations

from math import ceil
from typing import Any

from sqlalchemy import Row, select, update

from service.errors import Allowance, BatchQuotaUsed, QueueQuotaUsed, Unauthorized
from service.model import Quotas
from service.store.keys import NO_OWNER
from service.store.schema import keys
from service.store.transaction import Transaction

MINUTE_MS = 60_000


class Account:
    """A key's quotas and what it has used of them, inside a transaction.

    The minute of ``batches_per_minute`` begins with the first batch after the last minute's end,
    so at the seam of two minutes twice the quota may come close together.
    """

    def __init__(self, tx: Transaction, owner: int, defaults: Quotas) -> None:
        """Raises Unauthorized if the key has been revoked since the request began."""
        self._tx = tx
        tx.settle()
        self._row = _live(tx, owner)
        self._quotas = _chosen(self._row, defaults)
        begun_ms, used = self._row.minute_ms, self._row.minute_batches
        # a clock that was set back must not make the minute longer
        this_minute = 0 <= tx.now_ms - begun_ms < MINUTE_MS
        self._begun_ms: int = begun_ms if this_minute else tx.now_ms
        self._used: int = used if this_minute else 0

    @property
    def allowance(self) -> Allowance | None:
        """What is left of the minute; None without a limit."""
        most = self._quotas.batches_per_minute
        if not most:
            return None
        left_ms = self._begun_ms + MINUTE_MS - self._tx.now_ms
        return Allowance(most, max(0, most - self._used), ceil(left_ms / 1000))

    def charge(self, jobs: int) -> None:
        """Take a batch of so many jobs from the quotas. Raises BatchQuotaUsed, QueueQuotaUsed."""
        self.refuse_over(jobs)
        self._used += 1
        self._tx.connection.execute(
            update(keys)
            .where(keys.c.id == self._row.id)
            .values(minute_ms=self._begun_ms, minute_batches=self._used)
        )

    def refuse_over(self, jobs: int) -> None:
        """As ``charge``, without taking anything."""
        self._refuse_batch()
        self._refuse_jobs(jobs)

    def _refuse_batch(self) -> None:
        allowance = self.allowance
        if allowance and not allowance.remaining:
            raise BatchQuotaUsed(
                f"this key may submit {allowance.quota} batches a minute (key_batches_per_minute); "
                f"the next in {allowance.reset_s} s",
                retry_after_s=allowance.reset_s,
                allowance=allowance,
            )

    def _refuse_jobs(self, jobs: int) -> None:
        most = self._quotas.max_queued_jobs
        if most and self._row.queued + jobs > most:
            raise QueueQuotaUsed(
                f"this key has {self._row.queued} of at most {most} jobs queued "
                f"(key_max_queued_jobs); {jobs} more do not fit",
                allowance=self.allowance,
            )


def account_of(tx: Transaction, owner: int, defaults: Quotas) -> Account | None:
    """None without a key: then there are no quotas. Raises Unauthorized."""
    return None if owner == NO_OWNER else Account(tx, owner, defaults)


def allowance_of(account: Account | None) -> Allowance | None:
    return account.allowance if account else None


def _live(tx: Transaction, owner: int) -> Row[Any]:
    live = keys.c.id == owner, keys.c.revoked_ms.is_(None)
    row = tx.connection.execute(select(keys).where(*live)).one_or_none()
    if row is None:
        raise Unauthorized
    return row


def _chosen(row: Row[Any], defaults: Quotas) -> Quotas:
    own = {name: getattr(row, name) for name in Quotas._fields}
    return defaults._replace(**{name: value for name, value in own.items() if value is not None})
