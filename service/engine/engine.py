"""The engine of one process: its threads, from the first claim to an orderly stop."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from service.clock import Clock
from service.cores import Cores
from service.engine.dispatcher import Dispatcher
from service.engine.ensemble import Ensembles
from service.engine.executors import (
    DedicatedExecutor,
    JobExecutor,
    PoolExecutor,
    SequentialExecutor,
)
from service.engine.keeper import Keeper, KeeperTimes
from service.engine.quarantine import Quarantine
from service.engine.registry import FutureRegistry, LiveJob
from service.engine.runner import Runner, RunnerLimits, overstayed
from service.engine.shifts import LONGEST
from service.errors import JobCancelled, JobHandedBack
from service.jobs.catalogue import Catalogue
from service.metrics.metrics import Metrics
from service.model import Executor
from service.settings import Settings
from service.store.beginnings import Beginning
from service.store.store import Store

SETTLED_MS = 200
"""A job that has run for so long is written down as running. By then the ends of those before it
have been, so that what is noted as running together did."""

LAST_CALL_S = 1.0
"""After the drain, for jobs to notice that they are to hand back."""

log = logging.getLogger(__name__)


class ThreadState(NamedTuple):
    """The job threads of this process."""

    busy: int
    idle: int
    not_returned: int


class Engine:
    """Runs jobs of the store on this process's threads. The constructor starts nothing."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        cores: Cores,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._cores = cores
        self._sequential = SequentialExecutor(settings.dedicated_limit)
        self._pool = PoolExecutor(settings.pool_size)
        self._executors: dict[Executor, JobExecutor] = {
            Executor.POOL: self._pool,
            Executor.DEDICATED: DedicatedExecutor(settings.dedicated_limit),
            Executor.SEQUENTIAL: self._sequential,
        }
        places = 2 * (settings.pool_size * LONGEST + settings.dedicated_limit)
        self._registry = FutureRegistry(capacity=places)
        self._ensembles = Ensembles()
        self._runner = Runner(catalogue, store, clock, RunnerLimits.of(settings), cores)
        self._dispatcher = Dispatcher(
            store,
            self._runner,
            self._registry,
            self._ensembles,
            self._executors,
            job_timeout_s=settings.job_timeout_s,
        )
        self._quarantine = Quarantine(
            store,
            _nodes_folder(settings),
            settings,
            cores,
            measure=metrics.committed,
            on_rescue=self._dispatcher.wake,
        )
        self._keeper = Keeper(
            store,
            _nodes_folder(settings),
            KeeperTimes(settings.node_timeout_s, settings.max_crashes),
            on_node=self._become,
            on_rescue=self._dispatcher.wake,
            on_round=self._look_around,
        )
        self._running = False
        self._draining = False  # the stopping thread writes, request threads read

    @property
    def node(self) -> int:
        return self._dispatcher.node

    @property
    def draining(self) -> bool:
        return self._draining

    @property
    def live(self) -> int:
        """Live jobs of this process."""
        return len(self._registry)

    def start(self) -> None:
        """Join the service: rescue what the dead left, then run what is queued."""
        if self._draining:
            return  # told to stop before it began
        self._running = True
        self._keeper.start()
        self._dispatcher.start()

    def drain(self) -> None:
        """From now on no new batches and no new claims. Returns at once."""
        self._draining = True

    def stop(self, drain_s: float) -> None:
        """Leave in good order, within ``drain_s`` and about a second, whatever the store does.

        No new batches, no new claims; running jobs get ``drain_s``; what has not ended by then
        is told to stop, and goes back to the queue with its attempt not charged. Queued jobs
        stay queued. Safe twice and before ``start``.
        """
        self.drain()
        if not self._running:
            return
        self._running = False
        until = monotonic() + drain_s
        self._dispatcher.stop(drain_s + LAST_CALL_S / 2)
        for executor in self._executors.values():
            executor.shutdown()
        self._quarantine.enough()
        self._dispatcher.recall_all()
        empty = self._registry.wait_empty(max(0.0, until - monotonic()))
        self._quarantine.wait(until)
        self._quarantine.hang_up()
        if not empty:
            for live in self._registry.snapshot():
                live.token.stop(JobHandedBack)
            self._registry.wait_empty(max(0.0, until + LAST_CALL_S / 2 - monotonic()))
        # what has not returned by now goes back with the node
        last = until + LAST_CALL_S
        self._keeper.stop(max(0.1, last - monotonic()))
        self._quarantine.stop(max(0.1, last - monotonic()))
        self._keeper.leave(max(0.1, last - monotonic()))

    def cancel(self, keys: Iterable[int] | None = None, *, batch_key: int | None = None) -> None:
        """Tell those jobs that run here to stop. The store has been told already."""
        if batch_key is not None:
            live = self._registry.snapshot()
            keys = [one.job.key for one in live if one.job.batch.key == batch_key]
        self._registry.stop(keys or (), JobCancelled)

    def threads(self) -> ThreadState:
        live = self._registry.snapshot()
        # the jobs of a shift share a place: one of them is on its thread
        busy = {one.place for one in live if not one.lost} - self._pool.waiting
        lost = {one.place for one in live if one.lost}
        return ThreadState(busy=len(busy), idle=self._pool.free, not_returned=len(lost))

    @property
    def exhausted(self) -> bool:
        """Whether more than a quarter of the pool's threads have not returned."""
        return self.threads().not_returned > self._settings.pool_size / 4

    def _become(self, node: int) -> None:
        """This process is a new node. What still runs was given to others."""
        self._dispatcher.node = node
        for live in self._registry.snapshot():
            live.token.stop(JobHandedBack)

    def _look_around(self) -> None:
        self._cores.look()
        self._look_after_threads()
        self.measure()
        self._note_beginnings()
        self._quarantine.look(self.node)

    def _look_after_threads(self) -> None:
        self._sequential.retire_idle()
        overdue = monotonic() - self._settings.stop_grace_s
        for live in self._registry.snapshot():
            if live.token.asked_before(overdue) and self._registry.give_up(live):
                self._replace(live)

    def measure(self) -> None:
        """Note how busy this process is, for whichever process is asked."""
        self._metrics.threads(**self.threads()._asdict())
        self._metrics.process()

    def _note_beginnings(self) -> None:
        before_ms = self._clock.now_ms() - SETTLED_MS
        notes: dict[int, list[Beginning]] = {}
        noted: dict[int, list[LiveJob]] = {}
        for live in self._registry.snapshot():
            begun, job = live.begun, live.job
            if begun is None or begun.started_ms > before_ms or _is_noted(live):
                continue
            one = Beginning(job.key, job.attempt, *begun, concurrent=live.ensemble.peak)
            notes.setdefault(live.node, []).append(one)
            noted.setdefault(live.node, []).append(live)
        for node, beginnings in notes.items():
            written = self._store.note_beginnings(node, beginnings)
            for live in noted[node]:
                live.noted = written

    def _replace(self, live: LiveJob) -> None:
        """Its thread should have returned and has not: count it out, and carry on without it.

        A job past its timeout is failed, which is what its client asked for. One that was
        cancelled stays ``cancelling``: it is still running, and nobody set it an end.
        """
        told = {"job_id": live.job.id, "job_type": live.job.type, "timed_out": live.token.timed_out}
        log.warning("job not returned, its thread is replaced", extra=told)
        if live.token.timed_out:
            outcome = self._runner.outcome(live, overstayed(live))
            self._store.finish(live.node, outcome)
        self._executors[live.job.batch.executor].replace(live.place)
        self._dispatcher.wake()


def _is_noted(live: LiveJob) -> bool:
    """Whether the store has been told when it began, and has not failed to write it down."""
    noted = live.noted
    return noted is not None and not (noted.done() and noted.exception())


def _nodes_folder(settings: Settings) -> Path:
    return settings.data_dir / "nodes"
