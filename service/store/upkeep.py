"""What time does to the store: delays run out, batches and keys expire."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, text

from service.errors import BatchActive
from service.store.removal import remove_batch, remove_piece
from service.store.schema import DUE, WAITS_FOR_HOST, batches, hosts, idempotency, jobs, tombstones
from service.store.transaction import Transaction

NEXT_DUE = select(jobs.c.due_ms).where(text(DUE)).order_by(jobs.c.due_ms).limit(1)
"""When the next delay is over (ms); no row if none is running."""

DUE_PIECE = 2_000
HOST_MEMORY_MS = 86_400_000
TOMBSTONE_MS = 30 * 86_400_000


def wake_due(tx: Transaction) -> int | None:
    """Move jobs whose delay is over to the queue; returns when the next is due (ms), or None."""
    due = tx.connection.execute(
        select(jobs.c.key)
        .where(text(DUE), jobs.c.due_ms <= tx.now_ms)
        .order_by(jobs.c.due_ms)
        .limit(DUE_PIECE)
    ).scalars()
    tx.wake(list(due))
    return tx.connection.execute(NEXT_DUE).scalar()


def wake_forgotten(tx: Transaction) -> None:
    """Give a host's free places to jobs that wait for it.

    Each end of a job wakes one that waits; this is for those whose waker was cancelled after
    it was woken, or whose limit was raised. Hosts that nobody visits are forgotten.
    """
    tx.settle()
    tx.connection.execute(
        delete(hosts).where(hosts.c.running <= 0, hosts.c.next_ms < tx.now_ms - HOST_MEMORY_MS)
    )
    parked = select(jobs.c.host).where(text(WAITS_FOR_HOST)).distinct()
    for host in tx.connection.execute(parked).scalars().all():
        tx.wake(tx.hosts.forgotten(host))


def expire_piece(tx: Transaction) -> bool:
    """Remove a piece of what has expired; True while there is more."""
    tx.settle()
    tx.connection.execute(delete(idempotency).where(idempotency.c.expires_ms <= tx.now_ms))
    tx.connection.execute(
        delete(tombstones).where(tombstones.c.expired_ms <= tx.now_ms - TOMBSTONE_MS)
    )
    row = tx.connection.execute(
        select(batches.c.key, batches.c.id, batches.c.owner)
        .where(batches.c.expires_ms.is_not(None), batches.c.expires_ms <= tx.now_ms)
        .order_by(batches.c.expires_ms)
        .limit(1)
    ).one_or_none()
    if row is None:
        return False
    if remove_piece(tx, row.key):
        remove_batch(tx, row.key)
        tombstone = {"batch_id": row.id, "owner": row.owner, "expired_ms": tx.now_ms}
        tx.connection.execute(insert(tombstones).values(tombstone))
    return True


def delete_piece(tx: Transaction, batch_key: int) -> bool:
    """Remove a piece of an ended batch; True while there is more. Raises BatchActive."""
    entry = tx.ledger.batch(batch_key)
    if entry is None:
        return False
    if not entry.ended:
        raise BatchActive
    if not remove_piece(tx, batch_key):
        entry.expires_ms = tx.now_ms  # gone for clients; if this stops here, it expires on
        return True
    remove_batch(tx, batch_key)
    return False
