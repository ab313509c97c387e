"""The words of the domain: states, options, jobs as the engine sees them. Frozen; no I/O."""

from __future__ import annotations

import json
import os
import string
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

MAX_INDEX_BITS = 24
"""A job's key is ``batch key << 24 | index``: one integer that sorts by batch, then index."""


class JobState(StrEnum):
    """States of a job as the store keeps them.

    ``waiting`` is a queued job that is not due yet; clients see it as ``queued`` with a
    ``wait_reason``. A running job with its cancel flag set is shown as ``cancelling``.
    """

    QUEUED = "queued"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BatchStatus(StrEnum):
    """Status of a batch. ``staging`` is one whose jobs are still being received: not shown."""

    STAGING = "staging"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Executor(StrEnum):
    """How a batch's jobs get their threads."""

    POOL = "pool"
    DEDICATED = "dedicated"
    SEQUENTIAL = "sequential"


class PrintLock(StrEnum):
    """What the jobs of a batch hold while they print."""

    LINE = "line"
    JOB = "job"
    NONE = "none"


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
BATCH_ENDED = frozenset({BatchStatus.COMPLETED, BatchStatus.CANCELLED})

ALLOWED_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.WAITING: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.WAITING, *ENDED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


def job_key(batch_key: int, index: int) -> int:
    return batch_key << MAX_INDEX_BITS | index


def batch_of(key: int) -> int:
    return key >> MAX_INDEX_BITS


def index_of(key: int) -> int:
    return key & ((1 << MAX_INDEX_BITS) - 1)


ID_CHARS = 20
ID_RANDOM_BITS = 74
ID_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def new_batch_id() -> str:
    """An unguessable, time-ordered id: what a UUIDv7 (RFC 9562, 5.7) holds, milliseconds and 74
    random bits, as 20 letters and digits. A batch's status names it in each of its links and is
    to stay within 1 KiB; seven UUIDs of 36 characters leave no room for anything else."""
    random = int.from_bytes(os.urandom(10)) >> (80 - ID_RANDOM_BITS)
    number = (time.time_ns() // 1_000_000) << ID_RANDOM_BITS | random
    digits = []
    for _ in range(ID_CHARS):
        number, digit = divmod(number, len(ID_DIGITS))
        digits.append(ID_DIGITS[digit])
    return "".join(reversed(digits))


class HostWish(NamedTuple):
    """What a host asked of those who visit it: time between visits, or none before a moment."""

    gap_ms: int | None = None
    not_before_ms: int | None = None


class JobSpec(NamedTuple):
    """A job as it was submitted. ``params`` is JSON text; ``host`` whom it will visit."""

    type: str
    params: str
    custom_id: str | None
    timeout_s: float | None
    max_attempts: int
    host: str | None = None


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What a client chose for a batch; the defaults are the API's."""

    name: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    executor: Executor = Executor.POOL
    max_workers: int | None = None
    lock: PrintLock = PrintLock.LINE
    priority: int = 0
    ttl_s: int | None = None
    retry_of: str | None = None


class ClaimedJob(NamedTuple):
    """A job that this process has claimed: all that running it needs.

    ``claimed_ms`` is None if it shares a shift: its batch counts the others as live.
    """

    key: int
    attempt: int
    type: str
    params: str
    timeout_s: float | None
    max_attempts: int
    failures: int
    crashes: int
    host: str | None
    queued_ms: int
    claimed_ms: int | None
    batch: ClaimedBatch

    @property
    def id(self) -> str:
        """As clients know it."""
        return f"{self.batch.id}.{index_of(self.key)}"


class ClaimedBatch(NamedTuple):
    """The part of a batch that its running jobs share."""

    key: int
    id: str
    executor: Executor
    lock: PrintLock
    max_workers: int | None


class Shift(NamedTuple):
    """Jobs of one batch that one thread does one after another: one, unless they are short."""

    batch: ClaimedBatch
    jobs: list[ClaimedJob]


class Ending(StrEnum):
    """How an execution ended, before the store decides what that means for the job."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEFERRED = "deferred"
    HANDED_BACK = "handed_back"


class Outcome(NamedTuple):
    """What running a job came to. The runner makes it, the journal writes it down.

    Times are milliseconds since the epoch; ``result`` and ``error`` are JSON text.
    ``claimed_ms`` is that of the claim; ``cpu_us`` None if it could not be measured.
    ``not_before_ms`` set on a failure asks for another attempt then.
    ``concurrent`` is how many jobs of the batch ran here at once, this one included.
    """

    key: int
    attempt: int
    ending: Ending
    result: str | None
    error: str | None
    thread: str
    started_ms: int
    finished_ms: int
    cpu_us: int | None
    claimed_ms: int | None
    concurrent: int
    not_before_ms: int | None = None
    wait_reason: str | None = None
    host: str | None = None
    host_wish: HostWish | None = None
    type: str = ""
    queued_ms: int | None = None


class EndedJobs(NamedTuple):
    """Jobs that a transaction brought to the same end; without times, those that did not run."""

    type: str
    state: JobState
    run_ms: int | None = None
    queue_ms: int | None = None
    error: str | None = None
    number: int = 1


class EndedBatch(NamedTuple):
    """A batch that a transaction brought to its end. Times are milliseconds since the epoch."""

    id: str
    outcome: str | None
    succeeded: int
    failed: int
    cancelled: int
    started_ms: int | None
    finished_ms: int


class Committed(NamedTuple):
    """A transaction of the journal, once it is on disk. ``writes`` is what went into it,
    ``touched`` the ids of the batches whose counts, status or console it changed."""

    jobs: list[EndedJobs]
    batches: list[EndedBatch]
    writes: int
    seconds: float
    touched: AbstractSet[str] = frozenset()

    def to_json(self) -> bytes:
        """For another process, which counts; without what was touched."""
        return json.dumps(self[:-1]).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Committed:
        jobs, batches, writes, seconds = json.loads(text)
        ended = [EndedJobs(type_, JobState(state), *more) for type_, state, *more in jobs]
        return cls(ended, [EndedBatch(*batch) for batch in batches], writes, seconds)


class ConsoleText(NamedTuple):
    """A piece of text that a job printed."""

    key: int
    text: str


class Capacity(NamedTuple):
    """How many jobs a process can start now, by the executor that would run them."""

    pool: int
    dedicated: int
    sequential: int


def error_json(code: str, detail: str, *, retryable: bool, **extra: Any) -> dict[str, Any]:
    """The shape of an error in a job, an attempt or a result line."""
    return {"code": code, "detail": detail, "retryable": retryable, **extra}


class Quotas(NamedTuple):
    """What one API key may use of the service; 0 is no limit."""

    max_queued_jobs: int = 0
    batches_per_minute: int = 0


NO_QUOTAS = Quotas()
