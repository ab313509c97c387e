"""Writing batches down. A large one is staged in pieces, and counts only once sealed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select, text, update

from service.errors import Allowance, KeyReused, QueueFull, StoreUnavailable
from service.model import (
    NO_QUOTAS,
    BatchOptions,
    BatchStatus,
    Executor,
    JobSpec,
    PrintLock,
    Quotas,
    job_key,
    new_batch_id,
)
from service.store.bulk import rows_of
from service.store.gauges import QUEUED
from service.store.keys import NO_OWNER
from service.store.quotas import account_of, allowance_of
from service.store.removal import remove_batch, remove_piece
from service.store.schema import AT_HOME, batches, idempotency, nodes
from service.store.submitting import Accepted
from service.store.transaction import Transaction

UNLIMITED_WIDTH = 1 << 30


class Remembered(NamedTuple):
    """An Idempotency-Key as it is remembered: its hash, and a hash of the request."""

    key_hash: str
    fingerprint: str


class Terms(NamedTuple):
    """What a submission is accepted on. ``quotas`` are those of an API key without its own."""

    most_queued: int
    remember_s: int = 0
    owner: int = NO_OWNER
    quotas: Quotas = NO_QUOTAS


class Sealed(NamedTuple):
    """The batch that a submission came to: a new one, or the one made before by the same key."""

    batch: Accepted
    replayed: bool
    allowance: Allowance | None = None  # of the key that submitted it, if it has a limit

    @property
    def batch_key(self) -> int:
        return self.batch.key


def stage(
    tx: Transaction, options: BatchOptions, *, node: int, ttl_s: int, owner: int = NO_OWNER
) -> int:
    """Begin a batch that comes in pieces: it is neither listed nor claimed yet. Returns its key.

    Until it is sealed its home is the node that receives it, so that a rescue of a dead
    node also clears away what it had received in part.
    """
    state = {"status": BatchStatus.STAGING.value, "home": node, "total": 0, "version": 0}
    return _insert_batch(tx, options, state, ttl_s=ttl_s, owner=owner).key


def accept(
    tx: Transaction,
    options: BatchOptions,
    specs: Sequence[JobSpec],
    terms: Terms,
    remember: Remembered | None,
    *,
    ttl_s: int,
) -> Sealed:
    """As ``seal``, of a batch that is here as a whole."""

    def write() -> Accepted:
        total = len(specs)
        state = {"status": BatchStatus.QUEUED.value, "home": None, "total": total, "version": 1}
        accepted = _insert_batch(tx, options, state, ttl_s=ttl_s, owner=terms.owner)
        insert_jobs(tx, accepted.key, 0, specs)
        _count(tx, accepted, terms.owner)
        return accepted

    return _judged(tx, len(specs), terms, remember, write)


def _insert_batch(
    tx: Transaction, options: BatchOptions, state: dict[str, Any], *, ttl_s: int, owner: int
) -> Accepted:
    row = {
        **state,
        "queued": state["total"],
        "id": new_batch_id(),
        "owner": owner,
        "name": options.name,
        "labels": json.dumps(options.labels, ensure_ascii=False),
        "executor": options.executor.value,
        "max_workers": options.max_workers,
        "lock": options.lock.value,
        "priority": options.priority,
        "ttl_s": options.ttl_s or ttl_s,
        "retry_of": options.retry_of,
        "width": _width(options),
        "pinned": int(options.executor is not Executor.POOL or options.lock is not PrintLock.LINE),
        "turn": tx.next_turn(),
        "created_ms": tx.now_ms,
    }
    accepted = Accepted(*tx.sql.submits.insert_batch.one(tx.cursor, row))
    if options.labels:
        rows = [
            {"owner": owner, "name": name, "value": value, "batch_key": accepted.key}
            for name, value in options.labels.items()
        ]
        tx.sql.insert_label.run_many(tx.cursor, rows)
    return accepted


def _width(options: BatchOptions) -> int:
    if options.executor is Executor.SEQUENTIAL:
        return 1
    if options.lock is PrintLock.JOB and options.executor is Executor.POOL:
        return 1  # the others would hold the pool's threads only to wait for the lock
    return options.max_workers or UNLIMITED_WIDTH


def insert_jobs(tx: Transaction, batch_key: int, first: int, specs: Sequence[JobSpec]) -> None:
    """Add jobs to a staged batch, from index ``first``."""
    if first:
        _refuse_disowned(tx, batch_key)
    binds = {
        "base": job_key(batch_key, first),
        "now": tx.now_ms,
        "rows": rows_of([*map(tuple, specs)]),
    }
    tx.sql.insert_jobs.run(tx.cursor, binds)


def refuse_hopeless(
    tx: Transaction,
    total: int,
    terms: Terms,
    *,
    key_hash: str | None,
) -> None:
    """Refuse a batch that ``seal`` would refuse, with so many jobs received and more to come.

    One whose Idempotency-Key made a batch before may be that once more: it is read to its end.
    """
    if key_hash is not None and _kept(tx.connection, key_hash, tx.now_ms, terms.owner):
        return
    account = account_of(tx, terms.owner, terms.quotas)
    if account:
        account.refuse_over(total)
    _refuse_over(tx, total, terms.most_queued)


def seal(
    tx: Transaction, batch_key: int, total: int, terms: Terms, remember: Remembered | None
) -> Sealed:
    """Make a staged batch count: from here on it is listed, claimed and never lost.

    With an Idempotency-Key that made a batch before, that batch is the answer, the staged one
    is nobody's, and nothing is charged. Raises KeyReused if the key came with another request,
    QuotaUsed, Unauthorized, QueueFull; the staged batch is then the caller's to ``disown``.
    """

    def write() -> Accepted:
        _refuse_disowned(tx, batch_key)
        return _unstage(tx, batch_key, total)

    sealed = _judged(tx, total, terms, remember, write)
    if sealed.replayed:
        disown(tx, batch_key)
    return sealed


def _judged(
    tx: Transaction,
    total: int,
    terms: Terms,
    remember: Remembered | None,
    write: Callable[[], Accepted],
) -> Sealed:
    """Charge for so many jobs and ``write`` the batch, unless the key made one before."""
    account = account_of(tx, terms.owner, terms.quotas)
    if remember and (before := recall(tx.connection, remember, tx.now_ms, terms.owner)):
        return Sealed(before, replayed=True, allowance=allowance_of(account))
    if account:
        account.charge(total)
    _refuse_over(tx, total, terms.most_queued)
    accepted = write()
    if remember:
        expires_ms = tx.now_ms + terms.remember_s * 1000
        _keep(tx, remember, accepted, terms.owner, expires_ms=expires_ms)
    return Sealed(accepted, replayed=False, allowance=allowance_of(account))


def _unstage(tx: Transaction, batch_key: int, total: int) -> Accepted:
    row = tx.sql.submits.accept.one(tx.cursor, {"batch": batch_key, "jobs": total})
    # of the row: who had no key may have been adopted while the batch was received
    owner, *told = row
    accepted = Accepted(*told)
    _count(tx, accepted, owner)
    return accepted


def _count(tx: Transaction, accepted: Accepted, owner: int) -> None:
    tx.ledger.count_queued(accepted.total, owner)
    tx.ready.add(Executor(accepted.executor))


def _keep(
    tx: Transaction, remember: Remembered, accepted: Accepted, owner: int, *, expires_ms: int
) -> None:
    """The answer is kept with the key, not looked up by it: the key outlives the batch."""
    answer = json.dumps(accepted, ensure_ascii=False)
    row = {**remember._asdict(), "owner": owner, "accepted": answer, "expires_ms": expires_ms}
    forgotten = idempotency.c.owner == owner, idempotency.c.key_hash == remember.key_hash
    tx.connection.execute(delete(idempotency).where(*forgotten))
    tx.connection.execute(insert(idempotency).values(row))


def disown(tx: Transaction, batch_key: int) -> None:
    """A staged batch is not to be: ``sweep_piece`` will remove it."""
    staged = (batches.c.key == batch_key, batches.c.status == BatchStatus.STAGING.value)
    tx.connection.execute(update(batches).where(*staged).values(home=None))


def sweep_piece(tx: Transaction) -> bool:
    """Remove a piece of a staged batch that is nobody's; True while there is more.

    So is one whose receiver is no node: it was taken for dead before it began to receive, and if
    it still does, it is told to have it sent again.
    """
    receiving = batches.c.status == BatchStatus.STAGING.value
    lost = text(AT_HOME), receiving, batches.c.home.not_in(select(nodes.c.key))
    tx.connection.execute(update(batches).where(*lost).values(home=None))
    nobodys = receiving, batches.c.home.is_(None)
    key = tx.connection.execute(select(batches.c.key).where(*nobodys).limit(1)).scalar()
    if key is not None and remove_piece(tx, key):
        remove_batch(tx, key)
    return key is not None


def _refuse_disowned(tx: Transaction, batch_key: int) -> None:
    """Others took this process for dead while it received the batch, and may be removing it."""
    tx.settle()
    if tx.sql.submits.at_home.one(tx.cursor, {"batch": batch_key}) is None:
        raise StoreUnavailable("the batch was given up while it was received: send it again")


def recall(
    connection: Connection, remember: Remembered, now_ms: int, owner: int = NO_OWNER
) -> Accepted | None:
    """What the key made before; None for a new or forgotten one. Raises KeyReused."""
    row = _kept(connection, remember.key_hash, now_ms, owner)
    if row is None:
        return None
    if row.fingerprint != remember.fingerprint:
        raise KeyReused
    return Accepted(*json.loads(row.accepted))


def _kept(connection: Connection, key_hash: str, now_ms: int, owner: int) -> Row[Any] | None:
    statement = select(idempotency).where(
        idempotency.c.owner == owner,
        idempotency.c.key_hash == key_hash,
        idempotency.c.expires_ms > now_ms,
    )
    return connection.execute(statement).one_or_none()


def _refuse_over(tx: Transaction, total: int, most_queued: int) -> None:
    tx.settle()
    queued = tx.gauges.value(QUEUED)
    if queued + total > most_queued:
        raise QueueFull(
            f"the queue holds {queued} of at most {most_queued} jobs (max_queued_jobs); "
            f"{total} more do not fit"
        )
