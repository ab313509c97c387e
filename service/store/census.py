"""Which processes are nodes, and which are none any more or may soon be none."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.engine import Dialect

from service.store.bulk import as_json_rows
from service.store.database import Database
from service.store.prepared import Prepared
from service.store.schema import RUNNING, jobs, nodes


class Census:
    """Asked by each process twice a second, also by an idle one: prepared once for a database.

    Everything raises StoreUnavailable if the database can't be read.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._locks = Prepared(select(as_json_rows(nodes.c.key, nodes.c.lock)), dialect)
        of_another_start = nodes.c.boot_id != bindparam("boot_id")
        late = nodes.c.heartbeat_s < bindparam("before_s")
        silent = select(func.json_group_array(nodes.c.key)).where(of_another_start | late)
        self._silent = Prepared(silent, dialect)
        owners = select(jobs.c.owner).where(text(RUNNING)).distinct()
        gone = owners.except_(select(nodes.c.key)).subquery()
        self._ownerless = Prepared(select(func.json_group_array(gone.c.owner)), dialect)

    def locks(self, database: Database) -> dict[int, str]:
        """The nodes that are known, and the names of their lock files."""
        return dict(_listed(database, self._locks))

    def silent(self, database: Database, *, boot_id: str, before_s: float) -> list[int]:
        """Nodes of an earlier start of the machine, and those whose heartbeat is too old."""
        return _listed(database, self._silent, boot_id=boot_id, before_s=before_s)

    def ownerless(self, database: Database) -> list[int]:
        """Owners of running jobs that are no node any more. There should be none."""
        return _listed(database, self._ownerless)


def _listed(database: Database, statement: Prepared, **binds: Any) -> list[Any]:
    (found,) = database.look_up(statement, binds)
    listed: list[Any] = orjson.loads(found)
    return listed
