"""The statements of a submit, prepared once for a database."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, insert, null, select, update
from sqlalchemy.engine import Dialect

from service.model import BatchStatus
from service.store.prepared import Prepared
from service.store.schema import batches

NEW_BATCH = (
    "id",
    "owner",
    "status",
    "name",
    "labels",
    "executor",
    "max_workers",
    "lock",
    "priority",
    "ttl_s",
    "retry_of",
    "width",
    "pinned",
    "home",
    "total",
    "queued",
    "version",
    "turn",
    "created_ms",
)


class Accepted(NamedTuple):
    """A batch as it was when it was accepted: what the answer told, however it went on."""

    key: int
    id: str
    name: str | None
    labels: str
    executor: str
    max_workers: int | None
    lock: str
    priority: int
    retry_of: str | None
    total: int
    created_ms: int


class SubmitStatements:
    """What a batch of one job costs is mostly these: they run in each submit."""

    def __init__(self, dialect: Dialect) -> None:
        accepted = [batches.c[name] for name in Accepted._fields]
        row = insert(batches).values({name: bindparam(name) for name in NEW_BATCH})
        self.insert_batch = Prepared(row.returning(*accepted), dialect)
        its_own = batches.c.key == bindparam("batch")
        at_home = select(batches.c.key).where(its_own, batches.c.home.is_not(None))
        self.at_home = Prepared(at_home, dialect)
        accept = (
            update(batches)
            .where(its_own)
            .values(
                status=BatchStatus.QUEUED.value,
                total=bindparam("jobs"),
                queued=bindparam("jobs"),
                home=null(),
                version=1,
            )
            .returning(batches.c.owner, *accepted)
        )
        self.accept = Prepared(accept, dialect)
