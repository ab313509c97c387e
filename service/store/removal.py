"""Removing what a batch holds, in pieces that keep a transaction short."""

from __future__ import annotations

from sqlalchemy import delete, select

from service.model import job_key
from service.store.schema import SEQ_BITS, attempts, batches, console, jobs, labels
from service.store.transaction import Transaction

PIECE = 5_000
"""Rows of one kind removed in one transaction, so that others get their turn."""


def remove_piece(tx: Transaction, batch_key: int) -> bool:
    """Remove up to a piece of the batch's rows; True once nothing but its own row is left."""
    first, last = job_key(batch_key, 0), job_key(batch_key + 1, 0) - 1
    for table, column, low, high in (
        (console, console.c.key, batch_key << SEQ_BITS, ((batch_key + 1) << SEQ_BITS) - 1),
        (attempts, attempts.c.job_key, first, last),
        (jobs, jobs.c.key, first, last),
    ):
        some = select(column).where(column.between(low, high)).order_by(column).limit(PIECE)
        edge = tx.connection.execute(some.offset(PIECE - 1).limit(1)).scalar()
        upto = high if edge is None else edge
        tx.connection.execute(delete(table).where(column.between(low, upto)))
        if edge is not None:
            return False
    return True


def remove_jobs(tx: Transaction, batch_key: int) -> None:
    """Remove everything of the batch but its own row."""
    while not remove_piece(tx, batch_key):
        pass
    tx.connection.execute(delete(labels).where(labels.c.batch_key == batch_key))


def remove_batch(tx: Transaction, batch_key: int) -> None:
    """Remove the batch's row and what is left of it."""
    remove_jobs(tx, batch_key)
    tx.ledger.forget(batch_key)
    tx.connection.execute(delete(batches).where(batches.c.key == batch_key))
