"""What goes wrong: kills, stops, frozen processes, a full disk. Each fault is shown to have hit."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from random import Random
from statistics import median
from threading import Event
from time import monotonic, time
from typing import NamedTuple, TypeVar

from tests.soak.calls import Calls
from tests.soak.diary import Diary
from tests.soak.disk import Disk
from tests.soak.findings import Findings
from tests.soak.freezes import Freezes
from tests.soak.peek import Peek
from tests.soak.plan import Plan
from tests.support.server import Server
from tests.support.waiting import eventually

T = TypeVar("T")

RESCUE_S = 20.0
"""The longest that a dead process's jobs may wait for their rescue, by the guarantees."""


class Recovery(NamedTuple):
    """Of a kill: how many jobs ran there, and how long they waited to be back in the queue."""

    fault: str
    running: int
    seconds: float


class Faults:
    """Does one thing after the other, each only once the service has recovered from the last."""

    def __init__(
        self,
        server: Server,
        peek: Peek,
        disk: Disk,
        plan: Plan,
        findings: Findings,
        freezes: Freezes,
        diary: Diary,
        refusals: Callable[[], int],
    ) -> None:
        self.done: Counter[str] = Counter()
        self.recoveries: list[Recovery] = []
        self._refusals = refusals  # how often clients were told that the store can't be written
        self._server = server
        self._peek = peek
        self._disk = disk
        self._plan = plan
        self._findings = findings
        self._freezes = freezes
        self._diary = diary
        self._random = Random(f"{plan.seed}/faults")
        self._calls = Calls(server.url, patience_s=plan.patience_s)

    @property
    def kills(self) -> int:
        return sum(n for fault, n in self.done.items() if fault.startswith("kill"))

    def storm(self) -> None:
        """All the kills of the plan, spread over its time, and other faults among them."""
        begun = monotonic()
        pace_s = self._plan.storm_s / max(1, self._plan.kills)
        while self.kills < self._plan.kills:
            until = begun + pace_s * self.kills
            Event().wait(max(0.0, until - monotonic()))
            fault = self._next()
            self._diary.note("fault", fault=fault.__name__)
            fault()
            self.done[fault.__name__] += 1

    def _next(self) -> Callable[[], None]:
        faults: dict[Callable[[], None], float] = {self.kill_a_worker: 100}
        if self._plan.rough:
            faults |= {
                self.kill_everything: 5,
                self.kill_the_master: 3,
                self.stop_and_start: 3,
                self.reload: 2,
                self.freeze_a_worker: 6,
                self.fill_the_disk: 4,
            }
        return self._random.choices(list(faults), list(faults.values()))[0]

    # --- the faults -------------------------------------------------------------------------

    def kill_a_worker(self) -> None:
        pid, running = self._shot()
        self._rescued("kill_a_worker", {pid}, running)

    def _shot(self) -> tuple[int, int]:
        """A worker that was at work, and how many jobs ran on it."""
        while True:
            pid, running = self._victim()
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # a job of its own was quicker
            return pid, running

    def kill_everything(self) -> None:
        pids, running = self._all_at_work()
        self._server.kill()
        self._server.start()
        self._rescued("kill_everything", pids, running)

    def kill_the_master(self) -> None:
        pids, running = self._all_at_work()
        os.kill(self._server.process.pid, signal.SIGKILL)
        self._server.process.wait()
        self._server.start()
        self._rescued("kill_the_master", pids, running)

    def stop_and_start(self) -> None:
        begun = monotonic()
        code = self._server.terminate(timeout_s=60)
        seconds = monotonic() - begun
        self._diary.note("stopped", code=code, seconds=round(seconds, 3))
        if code != 0:
            self._findings.add("SIGTERM ends in good order", f"exit code {code}")
        self._server.start()

    def reload(self) -> None:
        before = set(self._server.workers())
        self._server.process.send_signal(signal.SIGHUP)
        self._soon(lambda: not before & set(self._server.workers()), "new workers after a SIGHUP")

    def freeze_a_worker(self) -> None:
        """Sometimes for so long that the others take it for dead, and its jobs from it."""
        pid, running = self._victim()
        node = self._peek.nodes().get(pid)
        seconds = self._random.uniform(0.2, 2.5 * self._plan.node_timeout_s)
        try:
            os.kill(pid, signal.SIGSTOP)
            begun = time()
            Event().wait(seconds)
            lost = node not in self._peek.nodes().values()
            self._freezes.add(begun, time())
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # a job of its own was quicker
        self.done["frozen until taken for dead"] += lost
        self._diary.note("frozen", pid=pid, running=running, seconds=round(seconds, 3), lost=lost)

    def fill_the_disk(self) -> None:
        """Now and then a worker is killed meanwhile: the next one has to wait for room."""
        before = self._refusals()
        shot = None
        with self._disk.full():
            self._soon(
                lambda: self._refusals() > before or self._nobody_is_there(),
                "writes are refused on a full disk",
            )
            if self._random.random() < 0.3 and not self._nobody_is_there():
                shot = self._shot()
            Event().wait(self._random.uniform(0.5, 4))
        begun = monotonic()
        if shot:
            self._rescued("kill_a_worker_on_a_full_disk", {shot[0]}, shot[1])
            self.done["kill_a_worker_on_a_full_disk"] += 1
        ready = "the service is ready again, now that there is room"
        self._soon(lambda: self._calls.get("/readyz").status == 200, ready)
        self._diary.note("disk had room again", ready_after_s=round(monotonic() - begun, 3))

    # --- before and after -------------------------------------------------------------------

    def _victim(self) -> tuple[int, int]:
        """A worker on which jobs run, and how many."""

        def found() -> tuple[int, int] | None:
            running = self._peek.running()
            at_work = [pid for pid in self._server.workers() if running.get(pid)]
            return (pid := self._random.choice(at_work), running[pid]) if at_work else None

        victim = self._soon(found, "jobs run on a worker")
        assert victim
        return victim

    def _nobody_is_there(self) -> bool:
        """Whether every worker was killed by jobs of its own, and the next ones wait for room."""
        return not set(self._server.workers()) & self._peek.nodes().keys()

    def _all_at_work(self) -> tuple[set[int], int]:
        _, running = self._victim()
        return set(self._server.workers()), max(running, sum(self._peek.running().values()))

    def _rescued(self, fault: str, pids: set[int], running: int) -> None:
        """Their jobs are back in the queue, or run elsewhere."""
        begun = monotonic()
        self._soon(lambda: (now := self._peek.nodes()) and not pids & now.keys(), "a rescue")
        seconds = monotonic() - begun
        self.recoveries.append(Recovery(fault, running, seconds))
        self._diary.note("rescued", pids=sorted(pids), running=running, seconds=round(seconds, 3))
        if seconds > RESCUE_S:
            self._findings.add("a rescue is soon", f"{fault}: it took {seconds:.1f} s")

    def _soon(self, probe: Callable[[], T], what: str) -> T:
        return eventually(probe, what, timeout_s=self._plan.patience_s, every_s=0.02)

    def recovery_line(self) -> str:
        times = [one.seconds for one in self.recoveries]
        worst = max(self.recoveries, key=lambda one: one.seconds)
        return (
            f"median {median(times):.2f} s, worst {worst.seconds:.2f} s ({worst.fault}, "
            f"{worst.running} jobs)"
        )
