"""Keeps the threads busy: claims as many jobs as there are free places, and starts them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from concurrent.futures import Future
from functools import partial
from threading import Condition, Lock, Thread
from time import monotonic

from service.engine.appetite import Appetite
from service.engine.ensemble import Ensembles
from service.engine.executors import JobExecutor, Place
from service.engine.registry import FutureRegistry, LiveJob
from service.engine.runner import CpuLaps, Runner
from service.engine.shifts import LiveShift, Pace
from service.engine.token import StopToken
from service.errors import AlreadyLive, JobCancelled, Saturated, StoreUnavailable
from service.model import Capacity, ClaimedJob, Executor, Outcome, Shift
from service.store.claims import Claim, Wish
from service.store.database import Watch
from service.store.store import Store

LOOK_S = 0.1
"""How often an idle dispatcher looks for the work of other processes; it costs microseconds."""

PAUSE_S = 0.5
"""After the store refused a claim."""

_EVERY = frozenset(Executor)

log = logging.getLogger(__name__)


class Dispatcher:
    """One thread that wishes for jobs and starts what was claimed; job threads finish, and wake it.

    Wishes go to the journal, whose commits tell of new work themselves: what accepts a batch also
    claims its first jobs.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        registry: FutureRegistry,
        ensembles: Ensembles,
        executors: dict[Executor, JobExecutor],
        *,
        job_timeout_s: float,
    ) -> None:
        self._store = store
        self._runner = runner
        self._registry = registry
        self._ensembles = ensembles
        self._executors = executors
        self._appetite = Appetite(executors)
        self._job_timeout_s = job_timeout_s
        self.node = 0  # the engine sets it before start, and anew if the node was taken for dead
        self._signal = Condition()
        # executors for which there may be something to claim; any thread adds; guarded by _signal
        self._hungry: set[Executor] = set(Executor)
        # what was claimed and for which node; the journal adds, the dispatcher takes; as _hungry
        self._claimed: list[tuple[Claim, int]] = []
        self._wished: Capacity | None = None  # a wish without an answer yet; guarded by _signal
        self._refused: BaseException | None = None  # why the last one was; guarded by _signal
        self._stopping = False  # guarded by _signal
        self._due_at: float | None = None  # when a delay runs out (monotonic); guarded by _signal
        self._look_at = 0.0  # the dispatcher's own
        self._pace = Pace()
        self._shifts_lock = Lock()
        self._shifts: set[LiveShift] = set()  # dispatcher adds, job threads remove; _shifts_lock
        self._thread: Thread | None = None

    def start(self) -> None:
        self._store.feed(self._wish_along)
        self._thread = Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Claim no more. Returns once no claim is under way, or the store takes too long over
        one. Safe twice and before start."""
        with self._signal:
            self._stopping = True
            self._signal.notify()
        if self._thread:
            self._thread.join(timeout_s)
            self._thread = None

    def recall_all(self) -> None:
        """Take back every job that was claimed and has not begun. Call it after ``stop``."""
        with self._shifts_lock:
            shifts = list(self._shifts)
        for shift in shifts:
            self._recall(shift)

    def wake(self, executor: Executor | None = None) -> None:
        """There may be work, or (with its name) an executor has room for it."""
        kinds = {executor} if executor else _EVERY
        self._appetite.whet(kinds)
        with self._signal:
            self._hungry |= kinds
            self._signal.notify()

    def wake_in(self, seconds: float) -> None:
        """A job is due then."""
        at = monotonic() + seconds
        with self._signal:
            if self._due_at is None or at < self._due_at:
                self._due_at = at
                self._signal.notify()

    # --- the dispatcher's own thread --------------------------------------------------------

    def _run(self) -> None:
        others: Watch | None = None
        while self._wait():
            try:
                self._recall_stalled()
                others = others or self._store.watch()
                if self._time_to_look() and others.changed():
                    self._hear_of_others()
                self._wake_due()
                self._start_claimed()
                self._fill()
            except StoreUnavailable as error:
                log.warning("claiming pauses", extra={"reason": error.detail})
                self._pause()
            except Exception:  # a service whose dispatcher died would accept and never run
                log.exception("a round of the dispatcher failed")
                self._pause()
        if others:
            others.close()

    def _wait(self) -> bool:
        """Sleep until there may be something to do; False when stopping and all is started."""
        with self._signal:
            if not (self._ended or self._claimed or self._refused or self._may_wish):
                self._signal.wait(self._patience())
            return not self._ended

    @property
    def _ended(self) -> bool:
        return self._stopping and not self._wished and not self._claimed

    @property
    def _may_wish(self) -> bool:
        return bool(self._hungry) and not self._wished

    def _patience(self) -> float:
        if self._due_at is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, self._due_at - monotonic()))

    def _time_to_look(self) -> bool:
        """Also this process's own commits look like news, so it does not look all the time."""
        now = monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_S
        return True

    def _pause(self) -> None:
        with self._signal:
            self._hungry |= _EVERY
            if not self._stopping:
                self._signal.wait(PAUSE_S)

    def _hear_of_others(self) -> None:
        """Another process wrote: new work perhaps, or a cancel for a job that runs here."""
        found = self._store.look(self.node)
        self._registry.stop(found.cancelling, JobCancelled)
        for kind in found.claimable:
            self.wake(kind)
        if found.due_ms is not None:
            self.wake_in(self._store.seconds_until(found.due_ms))

    def _wake_due(self) -> None:
        with self._signal:
            if self._due_at is None or monotonic() < self._due_at:
                return
            self._due_at = None
        next_due_s = self._store.wake_due()
        if next_due_s is not None:
            self.wake_in(next_due_s)
        self.wake()

    def _fill(self) -> None:
        """Wish for as many jobs as the executors that may have work have room for."""
        with self._signal:
            if self._wished:
                return  # what has become free since then is wished for together, after the answer
            hungry, self._hungry = self._hungry, set()
        if wish := self._wish(hungry):
            try:
                self._store.wish(wish)
            except StoreUnavailable as closing:
                self._hear(wish.capacity, wish.node, _failed(closing))

    def _wish_along(self, ready: set[Executor]) -> Wish | None:
        """The journal's thread asks: there are jobs for these."""
        self._appetite.whet(ready)
        return self._wish(ready)

    def _wish(self, kinds: Collection[Executor]) -> Wish | None:
        """One at a time; None if there is no room, or nothing more is to be started."""
        with self._signal:
            if self._wished:
                # that one will see these jobs too, if it is for their executors
                self._hungry |= {kind for kind in kinds if not getattr(self._wished, kind)}
            if self._wished or self._stopping:
                return None
            self._wished = capacity = self._appetite.ask(kinds)
        if capacity is None:
            return None
        # read once: what is claimed under a key must be finished under it
        node = self.node
        return Wish(capacity, node, self._pace.length, partial(self._hear, capacity, node))

    def _hear(self, asked: Capacity, node: int, answer: Future[Claim]) -> None:
        """On the journal's thread, once it is committed."""
        error = answer.exception()
        claim = None if error else answer.result()
        self._appetite.answered(asked, claim)
        with self._signal:
            self._wished = None
            if claim:
                self._claimed.append((claim, node))
            else:
                self._refused = error
            self._signal.notify()

    def _start_claimed(self) -> None:
        with self._signal:
            claimed, self._claimed = self._claimed, []
            refused, self._refused = self._refused, None
        for claim, node in claimed:
            for shift in claim.shifts:
                try:
                    self._submit(shift, node)
                finally:
                    self._appetite.begun(shift.batch.executor)
            if claim.more:
                self.wake()
        if refused:
            raise refused

    def _submit(self, shift: Shift, node: int) -> None:
        """Start a shift. Jobs that can't start go back: claimed, they are this node's to end."""
        place, executor = Place(shift), self._executors[shift.batch.executor]
        lives = [self._live(job, node, place) for job in shift.jobs]
        enlisted = [live for live in lives if self._enlist(live)]
        if not enlisted:
            return
        live_shift = LiveShift(place, executor, enlisted)
        with self._shifts_lock:
            self._shifts.add(live_shift)
        try:
            future = executor.submit(place, lambda: self._work(live_shift))
        except RuntimeError:
            log.exception("no thread to be had for a job", extra={"batch_id": shift.batch.id})
            self._give_up(live_shift)
        else:
            for live in enlisted:
                live.future = future

    def _live(self, job: ClaimedJob, node: int, place: Place) -> LiveJob:
        token = StopToken(job.timeout_s or self._job_timeout_s)
        return LiveJob(job, node, place, token, self._ensembles.join(job.batch))

    def _enlist(self, live: LiveJob) -> bool:
        try:
            self._registry.reserve(live)
        except (AlreadyLive, Saturated) as error:
            log.warning("job put off", extra={"job_id": live.job.id, "reason": error.detail})
            later = self._runner.deferred("pool_full", PAUSE_S)
            self._hand_over(live, self._runner.outcome(live, later))
            return False
        return True

    def _give_up(self, shift: LiveShift) -> None:
        for live in shift.recall():
            self._end(live, self._runner.outcome(live, self._runner.deferred("pool_full", PAUSE_S)))
        self._leave(shift)

    def _recall_stalled(self) -> None:
        with self._shifts_lock:
            stalled = [shift for shift in self._shifts if shift.stalled]
        for shift in stalled:
            self._recall(shift)

    def _recall(self, shift: LiveShift) -> None:
        """Its jobs that have not begun go back to the queue, where another thread finds them."""
        for live in shift.recall():
            self._end(live, self._runner.outcome(live, self._runner.deferred("pool_full", 0.0)))

    # --- the jobs' threads ------------------------------------------------------------------

    def _work(self, shift: LiveShift) -> None:
        """What a job's thread does."""
        jobs, begun, laps = 0, monotonic(), CpuLaps()
        while live := shift.take():
            self._end(live, self._runner.run(live, laps))
            jobs += 1
        if jobs:
            self._pace.note(shift.batch.key, (monotonic() - begun) / jobs)
        self._leave(shift)

    def _end(self, live: LiveJob, outcome: Outcome) -> None:
        # released first: once the outcome is handed over, the job may be claimed again
        self._registry.release(live)
        self._hand_over(live, outcome)

    def _hand_over(self, live: LiveJob, outcome: Outcome) -> None:
        others = self._ensembles.leave(live.job.key)
        self._store.finish(live.node, outcome, more=others)
        if outcome.not_before_ms is not None:
            self.wake_in(self._store.seconds_until(outcome.not_before_ms))

    def _leave(self, shift: LiveShift) -> None:
        with self._shifts_lock:
            self._shifts.discard(shift)
        shift.executor.give_back(shift.place)
        kind = shift.batch.executor
        if shift.executor.room and (shift.in_the_way or not self._appetite.sated(kind)):
            self.wake(kind)


def _failed(error: StoreUnavailable) -> Future[Claim]:
    answer: Future[Claim] = Future()
    answer.set_exception(error)
    return answer
