"""Where suspects run: in cells, processes of their own. See ``service.store.suspects`` for why.

A cell that dies is its job's doing, provided that someone saw it die. That is the process that
started it: if this one is killed too, perhaps somebody killed both.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep

from service.cores import Cores
from service.engine.liveness import LifeLock
from service.model import Committed
from service.settings import Settings
from service.store.store import Store

MOST_CELLS = 4
"""Of one worker."""

PATIENCE_S = 2.0
"""A suspect waits so long for each process that may take it, before another is started."""

POLL_S = 0.02

PAUSE_S = 10.0
"""After a process that could not even begin."""

ENOUGH = b"enough"

LEFT = 75
"""Exit code of a cell that went without telling the store. (sysexits.h: EX_TEMPFAIL.)"""

log = logging.getLogger(__name__)


class Quarantine:
    """The cells of one worker. The keeper's thread looks after them, from ``look`` to ``look``."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        settings: Settings,
        cores: Cores,
        *,
        measure: Callable[[Committed], None],
        on_rescue: Callable[[], None],
    ) -> None:
        self._store = store
        self._folder = folder
        self._settings = settings
        self._cores = cores
        self._measure = measure
        self._on_rescue = on_rescue
        self._cells: list[CellProcess] = []  # the keeper's thread writes; after its end, stop
        self._closing = False  # the stopping thread writes, the keeper's reads
        self._waits_from: float | None = None  # the keeper's thread, as the next
        self._not_before = 0.0

    def look(self, node: int) -> None:
        """See how the cells are, and start one if suspects wait. Raises StoreUnavailable."""
        for cell in list(self._cells):
            cell.pass_on(self._measure)
            if cell.ended is not None:
                self._conclude(cell, cell.ended)
        if not self._closing and self._is_due(node):
            self._begin()

    def enough(self) -> None:
        """Begin no other job in quarantine."""
        self._closing = True
        for cell in list(self._cells):
            cell.tell_enough()

    def wait(self, until: float) -> None:
        """Until no job runs there, but no longer than until then (monotonic)."""
        while monotonic() < until and any(cell.ended is None for cell in list(self._cells)):
            sleep(POLL_S)

    def hang_up(self) -> None:
        """Tell all cells to leave at once; what runs there is handed back."""
        for cell in list(self._cells):
            cell.hang_up()

    def stop(self, timeout_s: float) -> None:
        """End all cells. Call it once nobody looks any more."""
        self.hang_up()
        self.wait(monotonic() + timeout_s)
        for cell in self._cells:
            cell.end()
        self._cells = []

    def _is_due(self, node: int) -> bool:
        """The oldest process takes suspects at once, the others only if they go on waiting: one
        cell is enough for any number of quick ones."""
        if len(self._cells) >= MOST_CELLS or not self._store.suspect_waits():
            self._waits_from = None
            return False
        if self._waits_from is None:
            self._waits_from = monotonic()
        older = sum(key < node for key in self._store.live_nodes())
        return monotonic() >= self._waits_from + PATIENCE_S * (older + len(self._cells))

    def _begin(self) -> None:
        self._waits_from = None
        if monotonic() < self._not_before:
            return
        try:
            self._cells.append(CellProcess(self._folder, self._settings, self._cores))
        except OSError as error:
            self._pause(str(error))

    def _conclude(self, cell: CellProcess, code: int) -> None:
        """The cell has ended. Its lock is given up last: until then nobody else rescues the job."""
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        nodes = [key for key, lock in self._store.live_nodes().items() if lock == cell.lock]
        if nodes and code != LEFT:
            self._blame(nodes[0], how)
        elif code != 0:
            self._pause(how)
        cell.end()
        self._cells.remove(cell)

    def _blame(self, node: int, how: str) -> None:
        rescued = self._store.rescue_suspect(
            node, max_crashes=self._settings.max_crashes, alone=how
        )
        told = {"node": node, "ended_with": how, **rescued._asdict()}
        log.warning("the process of a suspect died", extra=told)
        self._on_rescue()

    def _pause(self, reason: str) -> None:
        self._not_before = monotonic() + PAUSE_S
        log.error("no process to be had for suspects", extra={"reason": reason})


class CellProcess:
    """A cell, as seen by the process that started it."""

    def __init__(self, folder: Path, settings: Settings, cores: Cores) -> None:
        mine, theirs = socket.socketpair()
        self._connection = Connection(mine.detach())
        self._lock = LifeLock(folder)
        try:
            held = self._lock.acquire()
            with theirs, cores.all_for_a_child():
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    [sys.executable, "-m", "service.cell", str(theirs.fileno())],
                    # it holds the lock as well: while one of the two lives, the cell is not dead
                    pass_fds=[theirs.fileno(), held],
                    stdin=subprocess.DEVNULL,
                    # what is found by name is found as here
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
                    },
                )
            self._send(settings.model_dump_json().encode())
            self._send(self.lock.encode())
        except BaseException:
            self.hang_up()
            self._lock.release()
            raise

    @property
    def lock(self) -> str:
        return self._lock.name

    @property
    def ended(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        return self._process.poll()

    def pass_on(self, measure: Callable[[Committed], None]) -> None:
        """What ended in the cell is counted here: it has no numbers of its own."""
        try:
            while self._connection.poll():
                measure(Committed.from_json(self._connection.recv_bytes()))
        except (EOFError, OSError):
            pass

    def tell_enough(self) -> None:
        self._send(ENOUGH)

    def hang_up(self) -> None:
        """Which tells it to leave. Safe twice."""
        self._connection.close()

    def end(self) -> None:
        """If it has not ended yet, it does now."""
        self.hang_up()
        self._process.kill()
        self._process.wait()
        self._lock.release()

    def _send(self, message: bytes) -> None:
        try:
            self._connection.send_bytes(message)
        except OSError:
            pass  # it has ended, or the line to it: that shows soon
