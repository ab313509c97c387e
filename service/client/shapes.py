"""What the service answers, typed. Fields that a newer service adds are in ``raw``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ENDED = ("completed", "cancelled")


def _raw() -> Any:
    return field(repr=False, compare=False)


@dataclass(frozen=True)
class Counts:
    """Jobs by status; they sum to ``total``. Those that are cancelling count as running."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Counts:
        return cls(**{name: int(raw[name]) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Concurrency:
    """Σ run time ÷ elapsed, the most jobs at once, Σ CPU time ÷ elapsed."""

    average: float | None
    peak: int
    cpu_parallelism: float | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Concurrency:
        return cls(raw["average"], raw["peak"], raw["cpu_parallelism"])


@dataclass(frozen=True)
class Batch:
    """A batch as it was at the moment of the answer. Times are in UTC."""

    id: str
    name: str | None
    labels: Mapping[str, str] = field(hash=False)
    status: str
    """queued, running, cancelling, completed or cancelled."""
    outcome: str | None
    """None until the end; then succeeded, partial, failed or cancelled."""
    executor: str
    max_workers: int | None
    lock: str
    priority: int
    counts: Counts
    concurrency: Concurrency
    elapsed_s: float | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    eta_s: int | None
    poll_after_s: int | None
    retry_of: str | None
    links: Mapping[str, str] = field(hash=False)
    raw: Mapping[str, Any] = _raw()

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Batch:
        return cls(
            id=raw["id"],
            name=raw["name"],
            labels=raw["labels"],
            status=raw["status"],
            outcome=raw["outcome"],
            executor=raw["executor"],
            max_workers=raw["max_workers"],
            lock=raw["lock"],
            priority=raw["priority"],
            counts=Counts.of(raw["counts"]),
            concurrency=Concurrency.of(raw["concurrency"]),
            elapsed_s=raw["elapsed_s"],
            created_at=datetime.fromisoformat(raw["created_at"]),
            started_at=_moment(raw["started_at"]),
            finished_at=_moment(raw["finished_at"]),
            expires_at=_moment(raw["expires_at"]),
            eta_s=raw["eta_s"],
            poll_after_s=raw["poll_after_s"],
            retry_of=raw["retry_of"],
            links=raw["links"],
            raw=raw,
        )


@dataclass(frozen=True)
class JobError:
    """Why a job failed. What its code adds (an HTTP status, say) is in ``raw``."""

    code: str
    detail: str
    retryable: bool
    raw: Mapping[str, Any] = _raw()

    @classmethod
    def of(cls, raw: Mapping[str, Any] | None) -> JobError | None:
        if raw is None:
            return None
        return cls(raw["code"], raw.get("detail", ""), raw.get("retryable", False), raw)


@dataclass(frozen=True)
class Result:
    """A line of the results. ``seq`` counts in the order of completion; None before the end."""

    seq: int | None
    index: int
    custom_id: str | None
    job_id: str
    type: str
    status: str
    error: JobError | None
    result: Any = field(hash=False)
    raw: Mapping[str, Any] = _raw()

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Result:
        return cls(
            seq=raw["seq"],
            index=raw["index"],
            custom_id=raw["custom_id"],
            job_id=raw["job_id"],
            type=raw["type"],
            status=raw["status"],
            error=JobError.of(raw["error"]),
            result=raw["result"],
            raw=raw,
        )


@dataclass(frozen=True)
class Attempt:
    """One execution of a job."""

    n: int
    thread: str | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cpu_ms: float | None
    error: JobError | None
    raw: Mapping[str, Any] = _raw()

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Attempt:
        return cls(
            n=raw["n"],
            thread=raw["thread"],
            queued_at=_moment(raw["queued_at"]),
            started_at=_moment(raw["started_at"]),
            finished_at=_moment(raw["finished_at"]),
            cpu_ms=raw["cpu_ms"],
            error=JobError.of(raw["error"]),
            raw=raw,
        )


@dataclass(frozen=True)
class Job:
    """One job, with each of its attempts."""

    id: str
    batch_id: str
    index: int
    custom_id: str | None
    type: str
    params: Mapping[str, Any] = field(hash=False)
    status: str
    wait_reason: str | None
    attempts: tuple[Attempt, ...]
    error: JobError | None
    result: Any = field(hash=False)
    raw: Mapping[str, Any] = _raw()

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Job:
        return cls(
            id=raw["id"],
            batch_id=raw["batch_id"],
            index=raw["index"],
            custom_id=raw["custom_id"],
            type=raw["type"],
            params=raw["params"],
            status=raw["status"],
            wait_reason=raw["wait_reason"],
            attempts=tuple(map(Attempt.of, raw["attempts"])),
            error=JobError.of(raw["error"]),
            result=raw["result"],
            raw=raw,
        )


@dataclass(frozen=True)
class Cancelled:
    """What a cancel found: jobs that never ran, and jobs that were told to stop."""

    cancelled_queued: int
    still_running: int

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Cancelled:
        return cls(raw["cancelled_queued"], raw["still_running"])


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
