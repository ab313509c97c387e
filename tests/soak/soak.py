"""The whole of it: start, storm, calm, quiet, check."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from time import monotonic, time

from tests.soak.calls import Calls
from tests.soak.checker import Checker
from tests.soak.client import Client
from tests.soak.diary import Diary
from tests.soak.disk import disk_for
from tests.soak.examine import Tally
from tests.soak.faults import Faults
from tests.soak.findings import Findings
from tests.soak.freezes import Freezes
from tests.soak.gauges import Gauges, Sample, Trend, trends
from tests.soak.hosts import Hosts
from tests.soak.orders import Orders
from tests.soak.peek import Peek
from tests.soak.plan import Plan
from tests.support.example import install_example
from tests.support.server import Server
from tests.support.waiting import eventually

MOST_WAL_MIB = 64.0
THAW_S = 10.0
"""So soon after a process was frozen the WAL is small again. Meanwhile it may be large: the process
may hold a snapshot, and nobody can take that from it."""
OF_A_FULL_DISK = frozenset({"the store can't be written"})
"""What the log may tell an exception of."""

SAMPLES = 30
"""As few say nothing about a trend."""

# what may come on top of the first third's median, for noise: a share, and so many
GROWTH = {"worker RSS MiB": (0.15, 15.0), "master RSS MiB": (0.1, 5.0), "WAL MiB": (0.5, 16.0)}
USUAL_GROWTH = (0.1, 8.0)


class Soak:
    """One run in a folder of its own. ``findings.all`` says afterwards what was wrong."""

    def __init__(self, folder: Path, plan: Plan, **settings: object) -> None:
        self.findings = Findings()
        self._freezes = Freezes()
        self.tally = Tally()
        self._folder = folder
        self._plan = plan
        self._settings = settings
        self._stack = ExitStack()
        self._working = Event()
        self._calm_from = time()
        self._idle: list[Sample] = []
        self.seconds: dict[str, float] = {}
        self.warnings: Counter[str] = Counter()

    def run(self) -> None:
        """Raises AssertionError if the service does not even get where something can be asked."""
        with self._stack:
            self._set_up()
            for part in (self._storm, self._calm, self._come_home, self._check):
                begun = monotonic()
                part()
                self.seconds[part.__name__.strip("_")] = monotonic() - begun

    def _set_up(self) -> None:
        plan = self._plan
        hosts = self._stack.enter_context(Hosts())
        settings = {**plan.settings, "fetch_allow_ports": hosts.ports, **self._settings}
        self._server = server = Server(self._folder, **settings)
        if plan.rough:
            server.environment["PYTHONPATH"] = str(install_example(self._folder / "example"))
        self._stack.callback(server.close)
        disk = disk_for(plan.disk, server)
        self._stack.callback(disk.remove)
        self._stack.callback(server.close)  # before the disk goes
        server.start()
        self._peek = Peek(server)
        self._gauges = Gauges(server, self._peek)
        self._orders = Orders(hosts, rough=plan.rough)
        self._clients = [
            Client(
                n,
                server,
                self._folder,
                self._orders,
                plan,
                self.findings,
                self._freezes,
                self._working,
            )
            for n in range(1, plan.clients + 1)
        ]
        diary = Diary(self._folder / "faults.jsonl")
        self._stack.callback(diary.close)
        self.faults = Faults(
            server,
            self._peek,
            disk,
            plan,
            self.findings,
            self._freezes,
            diary,
            self._refused_writes,
        )

    def _refused_writes(self) -> int:
        return sum(client.calls.refusals["store-unavailable"] for client in self._clients)

    # --- the run ----------------------------------------------------------------------------

    def _storm(self) -> None:
        self._working.set()
        self._gauges.start()
        for client in self._clients:
            client.start()
        self.faults.storm()

    def _calm(self) -> None:
        """The same work on processes that live on, from one quiet moment to another."""
        if self._plan.calm_s:
            # threads begin when they are needed: a process that the last fault left has few
            Event().wait(self._plan.calm_s / 10)
            self._quiet()
            self._calm_from = time()
            self._working.set()
            Event().wait(self._plan.calm_s)
            self._quiet()

    def _quiet(self) -> None:
        self._working.clear()
        patience_s = self._plan.patience_s * 2
        for client in self._clients:
            client.idle.clear()
        for client in self._clients:
            assert client.idle.wait(patience_s), f"{client.name} does not come home"
        self._await_the_last_job()
        self._idle.append(self._gauges.read())

    def _await_the_last_job(self) -> None:
        """Clients wait for what they know of, and not for what a lost request made."""
        eventually(
            lambda: not self._peek.running() and not self._peek.queued(),
            "it is quiet",
            timeout_s=self._plan.patience_s,
        )

    def _come_home(self) -> None:
        self._working.clear()
        for client in self._clients:
            client.over.set()
        for client in self._clients:
            client.join(self._plan.patience_s * 2)
            assert not client.is_alive(), f"{client.name} does not come home"
            self.tally.add(client.tally)
        self._await_the_last_job()
        self._gauges.stop()

    # --- the verdict ------------------------------------------------------------------------

    def _check(self) -> None:
        calls = Calls(self._server.url, patience_s=self._plan.patience_s)
        diaries = [client.diary for client in self._clients]
        self.checker = Checker(diaries, self._orders, calls, self.findings, self._freezes)
        self.checker.check()
        self.tally.add(self.checker.tally)
        self._check_proof()
        self._check_growth()
        self._check_end()

    def _check_proof(self) -> None:
        """A soak in which nothing was hit proves nothing."""
        if not self.tally.rerun_jobs:
            self.findings.add("something was hit", "no job ran again")
        if self.faults.kills < self._plan.kills:
            self.findings.add("all was done", f"{self.faults.kills} of {self._plan.kills} kills")
        if any(not one.running for one in self.faults.recoveries):
            self.findings.add("kills are under load", "no job ran on a process that was killed")

    def _check_growth(self) -> None:
        for sample in self._gauges.samples:
            frozen = self._freezes.within(sample.at - THAW_S, sample.at)
            if sample.wal_mib > MOST_WAL_MIB and not frozen:
                self.findings.add("the WAL stays small", f"{sample.wal_mib:.1f} MiB at {sample.at}")
        for trend in self.trends:
            share, more = GROWTH.get(trend.name, USUAL_GROWTH)
            if trend.last > trend.first * (1 + share) + more:
                self.findings.add("nothing grows under load", str(trend))
        if len(self._idle) == 2:
            before, after = self._idle
            for name in ("threads", "fds"):
                if after.most(name) > before.most(name) * 1.1 + USUAL_GROWTH[1]:
                    evidence = f"{name}: {before.most(name):g}, and after it {after.most(name):g}"
                    self.findings.add("all is given back after the load", evidence)

    def _check_end(self) -> None:
        code = self._server.terminate(timeout_s=60)
        if code != 0:
            self.findings.add("SIGTERM ends in good order", f"exit code {code}")
        if (verdict := self._peek.integrity()) != "ok":
            self.findings.add("the database is whole", verdict)
        # its disk may go with the service
        shutil.copy(self._folder / "data" / "jobspool.db", self._folder)
        self._check_log()

    def _check_log(self) -> None:
        """An exception in it is a surprise, but for the one that a full disk makes."""
        for line in self._server.log.read_text(errors="replace").splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                self.findings.add("the log is JSON", line[:1_000])
                continue
            if told["level"] in ("warning", "error", "critical"):
                self.warnings[re.sub(r"\d+", "N", told["event"])] += 1
            if "exception" in told and told["event"] not in OF_A_FULL_DISK:
                self.findings.add("nothing surprises the service", line[:3_000])

    # --- the summary ------------------------------------------------------------------------

    @property
    def trends(self) -> list[Trend]:
        """Of the calm; of all if there was none worth it."""
        samples = self._gauges.since(self._calm_from) if self._plan.calm_s else []
        return trends(samples) if len(samples) >= SAMPLES else []

    def summary(self) -> str:
        plan, tally, checker, faults = self._plan, self.tally, self.checker, self.faults
        acts = sum((client.acts for client in self._clients), Counter[str]())
        refusals = sum((client.calls.refusals for client in self._clients), Counter[str]())
        lost = sum(client.calls.lost for client in self._clients)
        silence_s = max(client.calls.longest_silence_s for client in self._clients)
        followed = sum(client.resumed for client in self._clients)
        cuts = sum(client.cuts for client in self._clients)
        wal = max((sample.wal_mib for sample in self._gauges.samples), default=0.0)
        file = max((sample.file_mib for sample in self._gauges.samples), default=0.0)
        lines = [
            f"seed {plan.seed}, {plan.workers} workers, {plan.clients} clients; seconds: "
            + ", ".join(f"{part} {seconds:.0f}" for part, seconds in self.seconds.items()),
            f"faults: {faults.kills} kills; {_counts(faults.done)}",
            f"recovery: {faults.recovery_line()}",
            f"clients: {_counts(acts)}",
            f"answers lost {lost}; refused {_counts(refusals)}; longest silence {silence_s:.1f} s",
            f"streams: {acts['followed']} followed, {followed} of them resumed, {cuts} own cuts",
            f"batches: {checker.acknowledged} acknowledged, {checker.retries} of them retries, "
            f"{checker.deleted} deleted; {checker.lost_but_there} more made by lost requests; "
            f"{checker.repeats} repeats made none, {checker.reuses} reuses of a key refused",
            f"jobs: {tally.jobs} examined in {tally.batches} batches: {_counts(tally.statuses)}; "
            f"errors {_counts(tally.codes)}; {tally.missed_pages} pages missed",
            f"run again: {tally.rerun_jobs} jobs, up to {tally.most_attempts} attempts; attempts "
            f"that were cut short: {_counts(tally.interrupted)}",
            f"log: {_counts(self.warnings)}",
            f"WAL at most {wal:.1f} MiB, database at most {file:.1f} MiB",
        ]
        if self.trends:
            calm = f"medians of the first and last third of {plan.calm_s:.0f} s of calm"
            lines.append(f"{calm}: {'; '.join(map(str, self.trends))}")
        if len(self._idle) == 2:
            lines.append(
                "idle before and after: "
                + "; ".join(
                    f"{name} {self._idle[0].most(name):,.1f} -> {self._idle[1].most(name):,.1f}"
                    for name in ("rss_mib", "threads", "fds")
                )
            )
        found = self.findings.all
        return "\n".join([*lines, f"violations: {len(found)}", *found])


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"
