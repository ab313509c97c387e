"""What must be done by the clock: heartbeat, rescue, overstaying threads, expiry."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple

from service.clock import boot_id
from service.engine.liveness import LifeLock, is_dead, remove_lock
from service.errors import StoreUnavailable
from service.store.store import Store

ROUND_S = 0.4
"""How often a dead process is looked for: rescue must begin within a second."""

HEARTBEATS = 5
"""Heartbeats in the time after which a silent node is taken for dead."""

EXPIRE_S = 5.0

log = logging.getLogger(__name__)


class KeeperTimes(NamedTuple):
    node_timeout_s: float
    max_crashes: int


class Keeper:
    """Keeps this process a node, and looks after those that are no more.

    ``on_node`` gets the node's key at the start, and a new one if the others took this
    process for dead (it was frozen, say): what ran under the old key is lost to it.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        times: KeeperTimes,
        *,
        on_node: Callable[[int], None],
        on_rescue: Callable[[], None],
        on_round: Callable[[], None],
    ) -> None:
        self._store = store
        self._folder = folder
        self._times = times
        self._on_node = on_node
        self._on_rescue = on_rescue
        self._on_round = on_round
        self._boot_id = boot_id()
        self._lock: LifeLock | None = None  # the keeper's thread writes after start
        self._node: int | None = None  # the keeper's thread writes after start
        self._stop = Event()
        self._thread: Thread | None = None
        self._beat_at = 0.0
        self._calm_from = 0.0  # from when on the silence of others means something
        self._expire_at = 0.0

    def start(self) -> None:
        """Become a node and rescue what dead ones left, then keep on doing so on a thread."""
        self._join()
        self._calm_from = monotonic() + self._times.node_timeout_s
        self._rescue()
        self._thread = Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop looking; the node stays known until ``leave``. Safe twice and before start."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout_s)
            self._thread = None

    def leave(self, timeout_s: float) -> None:
        """Be a node no more; what it still owns goes back to the queue. If the store is stuck
        others will see it dead and do it."""
        try:
            if self._node is not None:
                self._store.leave(self._node, timeout_s)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("left without telling the store", extra={"reason": str(error)})
        self._node = None
        if self._lock:
            self._lock.release()
            self._lock = None

    def _join(self) -> None:
        """Become a node, or a new one: under the old name others have buried this process."""
        if self._lock:
            self._lock.release()
        self._lock = LifeLock(self._folder)
        self._lock.acquire()
        self._node = self._store.register(
            pid=os.getpid(), boot_id=self._boot_id, lock=self._lock.name
        )
        self._beat_at = self._next_beat()
        self._on_node(self._node)

    def _next_beat(self) -> float:
        return monotonic() + self._times.node_timeout_s / HEARTBEATS

    def _run(self) -> None:
        while not self._stop.wait(ROUND_S):
            try:
                self._beat()
                self._rescue()
                self._on_round()
                self._expire()
            except (StoreUnavailable, OSError) as error:  # OSError: no file to be had for a lock
                log.warning("keeping pauses", extra={"reason": str(error)})
            except Exception:
                log.exception("a round of the keeper failed")

    def _beat(self) -> None:
        if monotonic() < self._beat_at or self._node is None:
            return
        late = monotonic() > self._beat_at + self._times.node_timeout_s / HEARTBEATS
        begun = monotonic()
        alive = self._store.beat(self._node)
        self._beat_at = self._next_beat()
        if late or monotonic() - begun > self._times.node_timeout_s / HEARTBEATS:
            self._calm_from = monotonic() + self._times.node_timeout_s
        if not alive:
            log.warning(
                "this process was taken for dead and joins again", extra={"node": self._node}
            )
            self._join()

    def _rescue(self) -> None:
        """Dead for certain: a process whose lock is free, and owners that are no nodes."""
        locks = self._store.live_nodes()
        others = locks.keys() - {self._node}
        dead = {key for key in others if is_dead(self._folder, locks[key])}
        dead |= set(self._store.ownerless()) - {self._node}
        if dead:
            self._bury(dead, locks, silent_for_s=None)
        # Silent, so probably frozen. But if this process could not write for a while, neither
        # could the others, and their silence says nothing.
        if monotonic() >= self._calm_from:
            timeout_s = self._times.node_timeout_s
            silent = set(self._store.silent_nodes(boot_id=self._boot_id, timeout_s=timeout_s))
            silent -= {self._node}
            if silent:
                self._bury(silent, locks, silent_for_s=timeout_s)

    def _bury(self, dead: set[int], locks: dict[int, str], *, silent_for_s: float | None) -> None:
        rescued = self._store.rescue(
            sorted(dead), max_crashes=self._times.max_crashes, silent_for_s=silent_for_s
        )
        told = {"nodes": sorted(dead), "requeued": rescued.requeued, "failed": rescued.failed}
        log.warning("jobs of dead processes rescued", extra=told)
        for node in dead & locks.keys():
            if is_dead(self._folder, locks[node]):
                remove_lock(self._folder, locks[node])
        self._on_rescue()

    def _expire(self) -> None:
        if monotonic() < self._expire_at:
            return
        self._store.wake_forgotten()
        for piece in (
            self._store.expire_piece,
            self._store.sweep_piece,
            self._store.finish_cancels,
        ):
            while piece() and not self._stop.is_set():
                self._beat()  # a long clean-up must not look like death
        self._expire_at = monotonic() + EXPIRE_S
