"""What a process finds when it looks for what others may have written."""

from __future__ import annotations

from typing import NamedTuple

import orjson
from sqlalchemy import BindParameter, bindparam, exists, func, literal, select, text
from sqlalchemy.engine import Dialect

from service.model import Executor
from service.store.database import Database
from service.store.prepared import Prepared
from service.store.schema import RUNNING, batches, jobs
from service.store.statements import open_to
from service.store.upkeep import NEXT_DUE


class Outlook(NamedTuple):
    """``claimable``: the executors for which there is something to claim. ``due_ms``: when the
    next delay is over, None if none is running. ``cancelling``: keys of the node's running jobs
    that someone asked to stop."""

    claimable: set[Executor]
    due_ms: int | None
    cancelling: list[int]


class Lookout:
    """Looks, ten times a second in a busy process: prepared once for a database."""

    def __init__(self, dialect: Dialect) -> None:
        node: BindParameter[int] = bindparam("node")
        claimable = [
            exists(select(batches.c.key).where(*open_to(node, literal(kind.value))))
            for kind in Executor
        ]
        stopping = text(RUNNING), jobs.c.owner == node, jobs.c.cancelling == 1
        cancelling = select(func.json_group_array(jobs.c.key)).where(*stopping)
        self._look = Prepared(
            select(*claimable, NEXT_DUE.scalar_subquery(), cancelling.scalar_subquery()), dialect
        )

    def look(self, database: Database, node: int) -> Outlook:
        *found, due_ms, cancelling = database.look_up(self._look, {"node": node})
        claimable = {kind for kind, there in zip(Executor, found, strict=True) if there}
        return Outlook(claimable, due_ms, orjson.loads(cancelling))
