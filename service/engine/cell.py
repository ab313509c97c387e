"""A process of its own for suspects: it runs one after the other, and nothing beside."""

from __future__ import annotations

import logging
import os
from threading import Event, Thread
from time import monotonic

from service.clock import boot_id
from service.engine.ensemble import Ensembles
from service.engine.executors import Place
from service.engine.keeper import HEARTBEATS
from service.engine.quarantine import LEFT
from service.engine.registry import LiveJob
from service.engine.runner import CpuLaps, Runner, overstayed
from service.engine.token import StopToken
from service.errors import JobCancelled, JobHandedBack, StoreUnavailable
from service.model import ClaimedJob, Shift
from service.store.beginnings import Beginning
from service.store.store import Store

LOOK_S = 0.1
"""How often it looks for a suspect, and after the one that runs."""

IDLE_S = 2.0
"""Without a suspect for so long, it leaves."""

LAST_CALL_S = 0.5
"""For a job to notice that it is to hand back, before the process goes without it."""

LEAVE_S = 5.0
"""For the store to be told. Whoever started the process may not wait for so long."""

log = logging.getLogger(__name__)


class Cell:
    """A node that runs suspects. One thread runs them, another looks after that.

    Whoever started the process tells it when to leave, and watches: if it ends while it still is
    a node, the job that it ran is to blame.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        *,
        lock: str,
        job_timeout_s: float,
        stop_grace_s: float,
        node_timeout_s: float,
    ) -> None:
        self._store = store
        self._runner = runner
        self._lock_name = lock
        self._job_timeout_s = job_timeout_s
        self._stop_grace_s = stop_grace_s
        self._beat_s = node_timeout_s / HEARTBEATS
        self._beat_at = 0.0  # the looking thread's
        self._ensembles = Ensembles()
        self._node = 0  # set before the other thread begins
        self._enough = Event()
        self._gone = Event()
        self._live: LiveJob | None = None  # the running thread sets it, the other looks

    def run(self) -> None:
        """Run suspects until there is none, or it is ``enough``; does not return.

        Raises StoreUnavailable if it can't even begin.
        """
        self._node = self._store.register(pid=os.getpid(), boot_id=boot_id(), lock=self._lock_name)
        self._beat_at = monotonic() + self._beat_s
        Thread(target=self._look_after, name="keeper", daemon=True).start()
        idle_from = monotonic()
        while not self._enough.is_set() and monotonic() < idle_from + IDLE_S:
            try:
                job = self._store.claim_suspect(self._node) if self._store.suspect_waits() else None
                if job:
                    self._run(job)
                    idle_from = monotonic()
                    continue
            except StoreUnavailable as error:
                log.warning("claiming pauses", extra={"reason": error.detail})
            except Exception:  # if it died of this, the job would be blamed
                log.exception("a round of the cell failed")
            self._enough.wait(LOOK_S)
        self._leave()

    def enough(self) -> None:
        """Begin no other job. What runs may end. Safe twice."""
        self._enough.set()

    def leave(self) -> None:
        """Leave at once, in good order: what runs is handed back."""
        self.enough()
        if live := self._live:
            live.token.stop(JobHandedBack)
        self._gone.wait(LAST_CALL_S)
        self._leave()

    # --- the thread that runs ---------------------------------------------------------------

    def _run(self, job: ClaimedJob) -> None:
        token = StopToken(job.timeout_s or self._job_timeout_s)
        place = Place(Shift(job.batch, [job]))
        live = LiveJob(job, self._node, place, token, self._ensembles.join(job.batch))
        self._live = live
        if self._enough.is_set():
            token.stop(JobHandedBack)  # it was told in between
        outcome = self._runner.run(live, CpuLaps())
        self._live = None
        self._ensembles.leave(job.key)
        self._store.finish(self._node, outcome)
        self._store.move_out(self._node)

    # --- the thread that looks --------------------------------------------------------------

    def _look_after(self) -> None:
        while not self._gone.wait(LOOK_S):
            try:
                self._beat()
                self._look_at_job()
            except StoreUnavailable as error:
                log.warning("keeping pauses", extra={"reason": error.detail})
            except Exception:
                log.exception("a round of the keeper failed")

    def _beat(self) -> None:
        if monotonic() < self._beat_at:
            return
        self._beat_at = monotonic() + self._beat_s
        if not self._store.beat(self._node):
            log.warning("this process was taken for dead and leaves", extra={"node": self._node})
            self.leave()

    def _look_at_job(self) -> None:
        live = self._live
        if live is None:
            return
        if self._store.look(self._node).cancelling:
            live.token.stop(JobCancelled)
        if live.begun and live.noted is None:
            one = Beginning(live.job.key, live.job.attempt, *live.begun, concurrent=1)
            live.noted = self._store.note_beginnings(self._node, [one])
        if live.token.timed_out and live.token.asked_before(monotonic() - self._stop_grace_s):
            log.warning("job not returned, its process ends", extra={"job_id": live.job.id})
            self._store.finish(self._node, self._runner.outcome(live, overstayed(live)))
            self._leave()

    def _leave(self) -> None:
        """Be a node no more, and end the process: job code's thread may never return."""
        if self._gone.is_set():
            Event().wait()  # another thread is about to end the process
        self._gone.set()
        code = 0
        try:
            self._store.leave(self._node, LEAVE_S)
            self._store.stop(LEAVE_S)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("left without telling the store", extra={"reason": str(error)})
            code = LEFT
        logging.shutdown()
        os._exit(code)
