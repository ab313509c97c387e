"""``jobspool`` that goes wrong where it is told to: run this file instead of the command.

An order is a file in the folder FAULTS, named after a point. The first process that comes to the
point renames it, as a receipt, and then does what the point is for. Nothing of the service knows
of this: the points are put around its functions, from here.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service import composition, datadir, server
from service.store import claims, database, submits
from service.store import journal as journals
from service.store.journal import Journal
from tests.support.waiting import eventually

ORDERS = Path(os.environ.get("FAULTS", "/nowhere"))

# the process is killed there
INSERT = "after insert"
SEAL = "before commit of a submit"
SUBMIT = "after commit of a submit"
CLAIM = "before commit of a claim"
CLAIMED = "after commit of a claim"
FINISH = "before finish"
FINISHED = "before commit of a finish"
ENDED = "after commit of a finish"

# the process waits there until it is told to go on
UPGRADE = "in the upgrade of the database"
BUILD = "before the worker is built"
START = "in the start of the worker"

# it is so from the start
WEAK_SYNC = "commits are not synced"
SMALL_WAL = "checkpoints come ten times as often"
NETWORK = "the data is on a network file system"
BUSY = "another process was writing"

log = logging.getLogger(__name__)

_told: set[int] = set()
_after_commit: set[str] = set()  # the points that this transaction leads to; the journal's alone


def ordered(point: str) -> bool:
    """Whether someone asked for it; true once."""
    try:
        (ORDERS / point).rename(ORDERS / f"{point}.done")
    except FileNotFoundError:
        return False
    return True


def die_at(point: str) -> None:
    if ordered(point):
        os.kill(os.getpid(), signal.SIGKILL)


def hold_at(point: str) -> None:
    if ordered(point):
        eventually((ORDERS / f"{point}.go").exists, f"going on from {point}")


def tell_once(what: str) -> None:
    if os.getpid() not in _told:
        _told.add(os.getpid())
        log.warning(what)


def around(
    place: Any,
    name: str,
    *,
    before: Callable[[], object] = lambda: None,
    after: Callable[[Any], object] = lambda _: None,
) -> None:
    original = getattr(place, name)

    def surrounded(*args: Any, **kwargs: Any) -> Any:
        before()
        value = original(*args, **kwargs)
        after(value)
        return value

    setattr(place, name, surrounded)


def passes(point: str, *, then: str) -> None:
    """A point inside of a transaction, and the one behind its commit."""
    _after_commit.add(then)
    die_at(point)


def committed(_: object) -> None:
    for point in sorted(_after_commit):
        die_at(point)


def arm() -> None:
    around(submits, "insert_jobs", after=lambda _: die_at(INSERT))
    for name in ("accept", "seal"):
        around(submits, name, after=lambda _: passes(SEAL, then=SUBMIT))
    around(claims, "claim", after=lambda got: got.shifts and passes(CLAIM, then=CLAIMED))
    around(
        journals,
        "finish",
        before=lambda: die_at(FINISH),
        after=lambda _: passes(FINISHED, then=ENDED),
    )
    around(Journal, "_commit", before=_after_commit.clear, after=committed)
    around(database.command, "upgrade", after=lambda _: hold_at(UPGRADE))
    around(server.Worker, "load_wsgi", before=lambda: hold_at(BUILD))
    around(composition.Store, "start", after=lambda _: hold_at(START))
    if ordered(WEAK_SYNC):
        pragmas = [one.replace("FULL", "NORMAL") for one in database._PRAGMAS]
        database._PRAGMAS = tuple(pragmas)
    if ordered(SMALL_WAL):
        pragmas = [
            one.replace("checkpoint = 4000", "checkpoint = 400") for one in database._PRAGMAS
        ]
        database._PRAGMAS = tuple(pragmas)
    if ordered(NETWORK):
        datadir.file_system_of = lambda _: "nfs4"
    if ordered(BUSY):  # it is; the first time that a process meets it, it says so
        around(database, "sleep", after=lambda _: tell_once(BUSY))


if __name__ == "__main__":
    from service.cli import main

    arm()
    main(prog_name="jobspool")
