"""A process for suspects: ``python -m service.cell FD``. A worker starts it, and talks over FD.

First it is told the settings and the name of its lock file, which it holds from the start; then,
perhaps, that it is enough. When the worker hangs up it leaves. It tells what it has written down.
"""

from __future__ import annotations

import logging
import signal
import sys
from multiprocessing.connection import Connection
from threading import Thread

from service import logs
from service.clock import Clock
from service.composition import Workshop, host_rules
from service.cores import Cores
from service.engine.cell import Cell
from service.engine.quarantine import LEFT
from service.engine.runner import Runner, RunnerLimits
from service.errors import StoreUnavailable
from service.model import Committed
from service.settings import Settings
from service.store.database import Database
from service.store.store import Store

log = logging.getLogger(__name__)


def main() -> None:
    # the worker says when it is over; a terminal or systemd tells everyone
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    try:
        settings = Settings.model_validate_json(connection.recv_bytes())
        lock = connection.recv_bytes().decode()
    except (EOFError, OSError):
        return  # it changed its mind
    logs.configure(settings.log_format, settings.log_level)
    cell = _cell(settings, lock, connection)
    Thread(target=_listen, args=(connection, cell), name="listener", daemon=True).start()
    try:
        cell.run()
    except StoreUnavailable as error:
        log.warning("a suspect waits for the store", extra={"reason": error.detail})
        sys.exit(LEFT)


def _cell(settings: Settings, lock: str, connection: Connection) -> Cell:
    def measure(done: Committed) -> None:
        try:
            connection.send_bytes(done.to_json())
        except OSError:
            pass  # the worker is gone, and so are its numbers

    clock = Clock()
    database = Database(settings.database_path, readers=4)
    store = Store(database, clock, host_rules(settings), on_commit=lambda _: None, measure=measure)
    catalogue = Workshop(settings, [], readers=1).catalogue
    store.start()
    return Cell(
        store,
        Runner(catalogue, store, clock, RunnerLimits.of(settings), Cores()),
        lock=lock,
        job_timeout_s=settings.job_timeout_s,
        stop_grace_s=settings.stop_grace_s,
        node_timeout_s=settings.node_timeout_s,
    )


def _listen(connection: Connection, cell: Cell) -> None:
    try:
        while True:
            connection.recv_bytes()
            cell.enough()
    except (EOFError, OSError):
        cell.leave()


if __name__ == "__main__":
    main()
