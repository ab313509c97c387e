"""Holds one ended batch against what was asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from tests.soak.calls import Calls
from tests.soak.findings import Findings
from tests.soak.freezes import Freezes
from tests.soak.memory import Batch
from tests.soak.orders import FETCH_CODES, flaw_of, lines_of

STOP_S = 5.0
"""How long after its cancel a job's thread may still come to its end as if nothing had been, if
its process was not frozen."""

ENDED = ("completed", "cancelled")
RERUN = frozenset({"crashed", "handed_back"})
RETRIED = FETCH_CODES | {"http_status"}


@dataclass
class Tally:
    """What was examined, for the summary."""

    batches: int = 0
    jobs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    rerun_jobs: int = 0
    most_attempts: int = 0
    interrupted: Counter[str] = field(default_factory=Counter)
    """Attempts that ended with their process, by error code."""
    codes: Counter[str] = field(default_factory=Counter)
    missed_pages: int = 0
    """Scrapes that failed although the page was there."""

    def add(self, other: Tally) -> None:
        self.batches += other.batches
        self.jobs += other.jobs
        self.statuses += other.statuses
        self.rerun_jobs += other.rerun_jobs
        self.most_attempts = max(self.most_attempts, other.most_attempts)
        self.interrupted += other.interrupted
        self.codes += other.codes
        self.missed_pages += other.missed_pages


def digest_of(lines: Iterable[dict[str, Any]]) -> str:
    """Of result lines, whatever their order."""
    ordered = sorted(lines, key=lambda line: line["seq"] or 0)
    return hashlib.sha256(json.dumps(ordered, sort_keys=True).encode()).hexdigest()


def examine(calls: Calls, batch: Batch, freezes: Freezes, findings: Findings) -> Tally:
    """What there was of an ended batch; what is wrong with it goes to the findings."""
    flaws, tally = _examined(calls, batch, freezes)
    for flaw in flaws:
        findings.add("each job ended once, as it should", flaw)
    return tally


def _examined(calls: Calls, batch: Batch, freezes: Freezes) -> tuple[list[str], Tally]:
    path = f"/v1/batches/{batch.id}"
    shown = calls.get(path)
    if shown.status != 200:
        return [f"{path} was acknowledged and answers {shown}"], Tally()
    text = calls.get(f"{path}/results", format="ndjson").text
    lines = [json.loads(line) for line in text.splitlines()]
    jobs = calls.pages(f"{path}/jobs?limit=1000")
    told = _Told(batch, shown.json, lines, jobs, freezes)
    console = calls.get(f"{path}/console").text if told.can_be_read_aloud else None
    flaws = list(chain(told.flaws(), told.console_flaws(console) if console is not None else ()))
    return [f"{path}: {flaw}" for flaw in flaws], told.tally()


class _Told:
    """All that the service tells of a batch."""

    def __init__(
        self, batch: Batch, shown: Any, lines: list[Any], jobs: list[Any], freezes: Freezes
    ) -> None:
        self._batch = batch
        self._shown = shown
        self._lines = lines
        self._jobs = jobs
        self._freezes = freezes

    def flaws(self) -> Iterator[str]:
        if self._shown["status"] not in ENDED:
            yield f"has not ended: {self._shown}"
            return
        yield from self._count_flaws()
        if len(self._lines) == len(self._jobs) == len(self._batch.tasks):
            for line, job in zip(self._lines, self._jobs, strict=True):
                yield from self._job_flaws(line, job)
        yield from self._cancel_flaws()
        yield from self._change_flaws()

    def _count_flaws(self) -> Iterator[str]:
        counts, total = self._shown["counts"], len(self._batch.tasks)
        said = Counter(line["status"] for line in self._lines)
        counted = Counter({n: counts[n] for n in ("succeeded", "failed", "cancelled") if counts[n]})
        if said != counted:
            yield f"the results say {dict(said)}, the counts {counts}"
        if (counts["total"], counts["queued"], counts["running"]) != (total, 0, 0):
            yield f"{total} jobs were sent, and the counts are {counts}"
        if [line["index"] for line in self._lines] != list(range(total)):
            yield f"{total} jobs were sent, and {len(self._lines)} lines came, not one for each"
        if sorted(line["seq"] or 0 for line in self._lines) != list(range(1, total + 1)):
            yield "a job ended twice, or not at all, by the numbers of the ends"
        if len(self._jobs) != total:
            yield f"{total} jobs were sent, and {len(self._jobs)} are listed"
        if self._shown["outcome"] != _outcome(self._shown["status"], counted, total):
            yield f"{self._shown['status']}, outcome {self._shown['outcome']}, with {counts}"

    def _job_flaws(self, line: Any, job: Any) -> Iterator[str]:
        index = line["index"]
        task = self._batch.tasks[index]
        name = f"job {index} ({task.kind})"
        for part in ("status", "error", "result", "custom_id", "type"):
            if line[part] != job[part]:
                yield f"{name}: its {part} is {line[part]!r} and {job[part]!r}"
        if (job["type"], job["custom_id"]) != (task.job["type"], task.job.get("custom_id")):
            yield f"{name}: it is not the one that was sent: {job}"
        if line["status"] != "cancelled":
            if flaw := flaw_of(task, line):
                yield f"{name}: {flaw}; {line['error']}, attempts {job['attempts']}"
        elif not (self._batch.cancel_sent or index in self._batch.job_cancels):
            yield f"{name}: cancelled, and nobody asked for it"
        yield from (f"{name}: {flaw}" for flaw in self._attempt_flaws(task.kind, job))

    def _attempt_flaws(self, kind: str, job: Any) -> Iterator[str]:
        attempts = job["attempts"]
        codes = [(attempt["error"] or {}).get("code") for attempt in attempts]
        if [attempt["n"] for attempt in attempts] != list(range(1, len(attempts) + 1)):
            yield f"its attempts are not numbered through: {attempts}"
        if not attempts and job["status"] != "cancelled":
            yield "it ended without an attempt"
        # a job that was cancelled in the queue has no attempt that ended it
        earlier = codes[:-1] if job["status"] != "cancelled" else codes[:-1] or codes
        if any(code not in RERUN | RETRIED for code in earlier if code):
            yield f"an attempt was followed by another after {codes}"
        if kind == "culprit" and job["status"] == "failed" and codes.count("crashed") < 3:
            yield f"it was failed after {codes}"
        if job["status"] != "cancelled" and job["error"] != attempts[-1]["error"]:
            yield f"its error is {job['error']}, of its last attempt {attempts[-1]}"

    def _cancel_flaws(self) -> Iterator[str]:
        batch, shown = self._batch, self._shown
        if shown["status"] == "cancelled" and not batch.cancel_sent:
            yield "it is cancelled, and nobody asked for it"
        if batch.cancelled_at is not None and shown["status"] != "cancelled":
            yield from self._late(range(len(self._jobs)), batch.cancelled_at)
        for index, at in batch.job_cancels.items():
            if at is not None and index < len(self._jobs):
                yield from self._late([index], at)

    def _late(self, indices: Iterable[int], cancelled_at: float) -> Iterator[str]:
        """Jobs that ended, but not as cancelled, when they should have long stopped."""
        for index in indices:
            job = self._jobs[index]
            if job["status"] == "cancelled" or not job["attempts"]:
                continue
            ended_at = datetime.fromisoformat(job["attempts"][-1]["finished_at"]).timestamp()
            if ended_at - cancelled_at > STOP_S + self._freezes.within(cancelled_at, ended_at):
                yield f"job {index} was cancelled at {cancelled_at} and is {job}"

    def _change_flaws(self) -> Iterator[str]:
        """It had ended: then nothing may change any more."""
        now = self._shown["status"], self._shown["outcome"]
        if self._batch.seen and self._batch.seen != now:
            yield f"it had ended as {self._batch.seen}, and now it is {now}"
        if self._batch.digest and self._batch.digest != digest_of(self._lines):
            yield "the results are others than those that were followed to their end"

    # --- the console ------------------------------------------------------------------------

    @property
    def can_be_read_aloud(self) -> bool:
        """Whether its console can be told: nothing ran twice, or was torn or cut on purpose."""
        once = all(len(job["attempts"]) == 1 for job in self._jobs)
        return once and self._batch.lock != "none" and self._shown["outcome"] == "succeeded"

    def console_flaws(self, console: str) -> Iterator[str]:
        printed = console.splitlines()
        places: dict[str, list[int]] = {}
        for place, line in enumerate(printed):
            places.setdefault(line.partition(": ")[0], []).append(place)
        for task in self._batch.tasks:
            if task.job["type"] == "scrape":
                continue
            at = places.get(task.job["params"]["name"], [])
            if [printed[place] for place in at] != lines_of(task.job):
                yield f"{task.job} printed {[printed[place] for place in at]}"
            if self._batch.lock == "job" and at and at != list(range(at[0], at[-1] + 1)):
                yield f"{task.job} held the lock, and its lines are not together"

    # --- the sums ---------------------------------------------------------------------------

    def tally(self) -> Tally:
        tally = Tally(batches=1, jobs=len(self._lines))
        for task, job in zip(self._batch.tasks, self._jobs, strict=False):
            errors = [attempt["error"] or {} for attempt in job["attempts"]]
            codes = [error.get("code") for error in errors]
            tally.statuses[job["status"]] += 1
            tally.interrupted.update(code for code in codes if code in RERUN)
            tally.rerun_jobs += any(code in RERUN for code in codes[:-1])
            tally.most_attempts = max(tally.most_attempts, len(errors))
            if job["error"]:
                tally.codes[job["error"]["code"]] += 1
                tally.missed_pages += task.kind in ("page", "slow")
        return tally


def _outcome(status: str, counted: Counter[str], total: int) -> str:
    if status == "cancelled" or counted["cancelled"] == total:
        return "cancelled"
    if counted["succeeded"] == total:
        return "succeeded"
    return "partial" if counted["succeeded"] else "failed"
