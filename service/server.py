"""gunicorn: the application, its worker and its hooks.

The service is built in each worker, after the fork: threads and database connections do not
survive one. Whatever of gunicorn's configuration would split or lose state is refused.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import select
import socket
import sys
from collections import Counter
from math import ceil
from threading import Thread
from time import monotonic, sleep
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.body import ChunkedReader
from gunicorn.util import close_graceful, write_nonblock
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from service import descriptors, logs
from service.address import is_loopback
from service.composition import Service, fetch_policy
from service.connections import ChunkReader, PacedSocket, Patience
from service.datadir import DataDirectory
from service.engine.surprises import Surprises
from service.errors import StartRefused, StoreUnavailable
from service.framing import ContinueReader, refusal, refuse_what_is_ambiguous, refused
from service.metrics.metrics import Metrics, forget_worker
from service.metrics.scoreboard import Scoreboard
from service.settings import Settings, load_settings, unknown_variables
from service.store import keys
from service.store.database import Database

WORKER_CLASS = "service.server.Worker"

STORE_PAUSE_S = 0.5

GREETING_S = 0.01
"""A request thread waits so long for the first byte of a new connection."""

NEXT_S = 0.001
"""It waits so long for the next request of a client that it has answered."""

ACCEPT_PAUSE_S = 0.1
"""After a connection that there was no room for."""

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

SPARE_SLOTS = 8
"""To count in, for workers that are added to a running service (a reload has twice as many)."""

LAST_ANSWERS_S = 1.0
"""After the drain, for answers that are being sent."""

COLLECT = (5_000, 20, 20)
"""When the collector looks for cycles (``gc.set_threshold``): Python's own 700 objects are there
several times in each request."""

log = logging.getLogger(__name__)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gthread, with a service in it, and a limit to how long a client may keep a thread waiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = settings_of(self.app)
        self.service: Service | None = None
        # pre_fork sets these: where this worker counts
        self.board: Scoreboard | None = None
        self.slot: int | None = None
        self.place = 0  # among as many workers as there are to be
        self._patience = Patience(self.settings.client_timeout_s, self.settings.threads)
        # request threads add and remove their own, any reads how many; a set's own atomicity
        self._at_work: set[TConn] = set()
        self._accept_at = 0.0  # not before (monotonic); the main loop's alone
        self._surprises = Surprises()

    # --- the service ------------------------------------------------------------------------

    def load_wsgi(self) -> None:
        self.service = Service(self.settings, metrics=Metrics(self.board, self.slot or 0))
        self.wsgi = self.service.app
        # what the service is made of stays: the collector need not look through it again and again
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT)
        if self.settings.one_core:
            self.service.cores.keep_to_one(self.settings.workers, self.place)
        while self.alive:
            try:
                self.service.start()
            except StoreUnavailable as error:
                # gunicorn gives up the whole service when a worker fails to boot
                log.warning("waiting for the store", extra={"reason": error.detail})
                self.notify()
                sleep(STORE_PAUSE_S)
            else:
                return

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: finish the requests, and at the same time drain the engine."""
        if self.alive:
            Thread(target=self._leave_in_time, name="leave", daemon=True).start()
        super().handle_exit(sig, frame)

    def _leave_in_time(self) -> None:
        """Drain; and if by then a client still holds a connection, go without it."""
        begun = monotonic()
        self.stop_service()
        sleep(max(0.0, begun + self.settings.drain_s + LAST_ANSWERS_S - monotonic()))
        leave_process()

    def stop_service(self, drain_s: float | None = None) -> None:
        try:
            if self.service:
                self.service.stop(drain_s)
        except Exception:
            log.exception("the service did not stop in good order")

    # --- too many clients -------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """A connection for which there is no file descriptor waits until others have ended.

        gunicorn would end the worker, and with it all that it runs and answers.
        """
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            if self._surprises.untold("full") is not None:
                log.warning("no more connections can be accepted", extra={"reason": str(error)})
            self._accept_at = monotonic() + ACCEPT_PAUSE_S
            self.set_accept_enabled(False)  # or the listener would keep the main loop busy

    def set_accept_enabled(self, enabled: bool) -> None:
        """The main loop asks for it at each round, which takes no more than a second."""
        super().set_accept_enabled(enabled and monotonic() >= self._accept_at)

    # --- slow clients -----------------------------------------------------------------------

    def handle(self, conn: TConn) -> Any:
        """Called in a request thread, for each request."""
        if not conn.initialized and not speaks(conn):
            return _DEFER  # the main loop can wait for any number of them
        if type(conn.sock) is socket.socket:
            conn.sock = PacedSocket(conn.sock, self._patience)
        paced = conn.sock if isinstance(conn.sock, PacedSocket) else None  # None: TLS
        if paced:
            paced.begin()
        self._at_work.add(conn)
        try:
            kept = super().handle(conn)
            while kept is True and self._asks_again(conn):
                if paced:
                    paced.rest()
                kept = super().handle(conn)
            if not kept:
                # gunicorn would do it in its main loop, which then waits for the client
                close_graceful(conn.sock)
            return kept
        finally:
            self._at_work.discard(conn)
            if paced:
                paced.end()

    def _asks_again(self, conn: TConn) -> bool:
        """Whether the thread is to go on with this client: it sends its next request at once, and
        no other client is being answered.

        The way through the main loop costs as much as a small answer, but there clients queue.
        Threads that each stayed with one would have to win Python's lock from all others again
        and again, and it is given to anyone: some would get it only after 50 ms.
        """
        if not self._goes_on_alone:
            return False
        # a client that does not wait for answers may have sent it along with the last
        asks = conn.parser.unreader.buf.getvalue() or sends(conn.sock, NEXT_S)
        return bool(asks) and self._goes_on_alone

    @property
    def _goes_on_alone(self) -> bool:
        return bool(self.alive) and len(self._at_work) == 1

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Called in the main loop, after ``handle``."""
        if conn.sock.fileno() < 0:
            # closed above; gunicorn would stumble over that, and count it down twice
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        refuse_what_is_ambiguous(req)
        if req.body and isinstance(req.body.reader, ChunkedReader):
            req.body.reader = ChunkReader(req.body.reader)
        if not req._expected_100_continue:
            return super().handle_request(req, conn)
        req._expected_100_continue = False  # gunicorn would send it before anyone looks
        reader = req.body.reader = ContinueReader(req.body.reader, conn.sock.sendall)
        # a client that was not told to go on may or may not send its body
        return super().handle_request(req, conn) and not reader.waits

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        status = refusal(exc)
        if status is None:
            super().handle_error(req, client, addr, exc)
            return
        answer, request_id = refused(status, str(exc))
        # by its kind: its words quote the header that is wrong, be it a key
        told = {"reason": type(exc).__name__, "status": int(status), "request_id": request_id}
        log.warning("a request that can't be read", extra={**told, "client": addr and addr[0]})
        try:
            write_nonblock(client, answer)
        except OSError:
            pass  # it left


def speaks(conn: TConn) -> bool:
    """Whether a new client sends something at once. (gunicorn's own way to tell takes a file
    descriptor, and there may be none left.)"""
    conn.data_ready = conn.data_ready or sends(conn.sock, GREETING_S)
    return bool(conn.data_ready)


def sends(client: socket.socket, within_s: float) -> bool:
    """Whether there is something to read, be it the end."""
    first = select.poll()
    first.register(client, select.POLLIN)
    return bool(first.poll(within_s * 1000))


class ServerLog(Logger):  # type: ignore[misc]
    """What gunicorn says goes where all goes; the application tells of its requests itself."""

    def setup(self, cfg: Config) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True


class Application(BaseApplication):  # type: ignore[misc]
    """gunicorn under our settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_options(self.settings).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return built_in_the_worker()


def settings_of(app: Any) -> Settings:
    """Those that ``jobspool serve`` was given; under a plain gunicorn, the environment's."""
    settings = getattr(app, "settings", None)
    return settings if isinstance(settings, Settings) else load_settings()


def built_in_the_worker(*_: Any) -> Any:
    """gunicorn wants the name of an application; ours is built by ``Worker.load_wsgi``."""
    raise StartRefused("the service is built in its worker: preload_app can't be used")


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    return {
        "bind": f"{_bracketed(settings.host)}:{settings.port}",
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_class": WORKER_CLASS,
        "keepalive": settings.keepalive_s,
        "worker_connections": max(1000, settings.threads * 4),
        # gunicorn kills what is left after this
        "graceful_timeout": ceil(settings.drain_s + 2),
        "timeout": 60,
        "control_socket_disable": True,
        # headers of proxies decide nothing here, so nobody gets to set them
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "proc_name": "jobspool",
        "logger_class": ServerLog,
        "on_starting": on_starting,
        "pre_fork": pre_fork,
        "child_exit": child_exit,
        "worker_exit": worker_exit,
    }


def on_starting(server: Any) -> None:
    """In the master, before it listens and forks. StartRefused stops the start."""
    settings = settings_of(server.app)
    refuse_what_splits_state(server.cfg)
    fetch_policy(settings)
    descriptors.claim(server.cfg.threads)
    server.board = Scoreboard(settings.workers * 2 + SPARE_SLOTS)
    # held by the master and, across their fork, by its workers
    DataDirectory(settings.data_dir).claim()
    database = Database(settings.database_path)
    database.upgrade()
    try:
        refuse_open_address(settings, server.cfg, database)
    finally:
        database.close()


def pre_fork(server: Any, worker: Worker) -> None:
    """In the master: the worker gets a part of the memory that they all count in, and its place."""
    places = Counter(other.place for other in server.WORKERS.values())
    worker.place = min(range(server.cfg.workers), key=lambda place: places[place])
    board: Scoreboard = server.board
    worker.slot = board.free_slot(other.slot for other in server.WORKERS.values())
    if worker.slot is None:
        log.warning("too many workers: one is left out of /metrics")
    else:
        worker.board = board


def child_exit(_server: Any, worker: Worker) -> None:
    """In the master, once the worker is dead, whatever killed it."""
    if worker.board is not None and worker.slot is not None:
        forget_worker(worker.board, worker.slot)


def refuse_what_splits_state(cfg: Config) -> None:
    if cfg.preload_app:
        raise StartRefused(
            "preload_app builds the service before the fork, where no thread of it survives"
        )
    if cfg.max_requests:
        raise StartRefused(
            "max_requests makes a worker leave with jobs running; keep it 0 "
            "(a worker that grows is a bug: report it)"
        )
    if cfg.worker_class_str != WORKER_CLASS and not issubclass(cfg.worker_class, Worker):
        raise StartRefused(f"the worker class must be {WORKER_CLASS}")


def worker_exit(_server: Any, worker: Worker) -> None:
    """gunicorn calls this in the worker, and under some circumstances in the master too."""
    if worker.pid != os.getpid() or not worker.booted:
        return
    orphaned = worker.ppid != os.getppid()
    # an interrupt or a lost master leaves no time; after a SIGTERM the drain is under way
    worker.stop_service(0.0 if orphaned or sys.exc_info()[0] is SystemExit else None)
    leave_process()


def leave_process() -> None:
    """Python would join pool threads, and some may never return."""
    logging.shutdown()
    os._exit(0)


def serve(settings: Settings) -> None:
    """Run the service until it is told to stop. Raises StartRefused before it listens."""
    logs.configure(settings.log_format, settings.log_level)
    for name in unknown_variables():
        log.warning("a variable that is no setting of this service", extra={"variable": name})
    try:
        Application(settings).run()
    except StartRefused as refused:
        if not logs.writes_json(settings.log_format):
            raise
        log.critical("the service refuses to start", extra={"reason": refused.detail})
        sys.exit(2)


def refuse_open_address(settings: Settings, cfg: Config, database: Database) -> None:
    """Without keys anyone who can connect can submit: then only this machine may connect.

    Once there was a key, revoked or not, no request goes without.
    """
    with database.snapshot() as connection:
        if settings.insecure_bind or keys.any_made(connection):
            return
    for address in cfg.address:
        # anything but a pair is a socket file, which the file system guards
        if isinstance(address, tuple) and not is_loopback(address[0]):
            raise StartRefused(
                f"{address[0]} can be reached from other machines, and the service has no keys: "
                "anyone there could use it. Make a key (jobspool keys create NAME), listen on "
                "127.0.0.1, or accept that with --insecure-bind (JOBSPOOL_INSECURE_BIND=true)"
            )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
