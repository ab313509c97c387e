"""The timeline's answers, as models; see ``answers``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from service.api.openapi.answers import Concurrency
from service.api.openapi.examples import BATCH_ID, JOB_ID

TIMELINE: dict[str, Any] = {
    "batch_id": BATCH_ID,
    "origin_at": "2026-01-31T12:00:00.000Z",
    "concurrency": {"average": 0.98, "peak": 1, "cpu_parallelism": 0.11},
    "elapsed_s": 0.102,
    "threads": [
        {
            "name": "pool_0",
            "process": 1,
            "spans": [
                {
                    "job_id": JOB_ID, "index": 7, "custom_id": "b7", "type": "numbers",
                    "attempt": 1, "status": "succeeded", "error": None,
                    "queued_ms": 0, "start_ms": 12, "end_ms": 112, "cpu_ms": 11.2,
                }
            ],
        }
    ],
    "statistics": {
        "attempts": 1,
        "peak": 1,
        "queue_wait_ms": {"mean": 12, "p50": 12, "p95": 12, "max": 12},
        "run_ms": {"mean": 100, "p50": 100, "p95": 100, "max": 100},
        "cpu_ms": {"mean": 11.2, "p50": 11.2, "p95": 11.2, "max": 11.2},
    },
    "totals": {"run_ms": 100, "cpu_ms": 11.2},
    "truncated": False,
    "next": None,
}  # fmt: skip


class Span(BaseModel):
    """One attempt. Times are milliseconds since the batch was created."""

    job_id: str
    index: int
    custom_id: str | None
    type: str
    attempt: int = Field(description="from 1")
    status: Literal[
        "running", "cancelling", "succeeded", "failed", "cancelled", "crashed", "handed_back"
    ]
    error: str | None = Field(description="the error's code")
    queued_ms: int = Field(description="when it got its place in the queue, or got it again")
    start_ms: int
    end_ms: int | None = Field(description="null while it runs; a crash's is when it was found")
    cpu_ms: float | None = Field(description="null while it runs, and if nobody could measure it")


class ThreadRow(BaseModel):
    """What one thread did. Its spans are in order and never overlap."""

    name: str = Field(
        description="only with `process` one thread's own; `unknown_0` and on hold attempts whose "
        "thread is not known: they began within the last half second, or their process died "
        "before it was written down"
    )
    process: int | None = Field(description="a number that no other process ever had")
    spans: list[Span]


class Spread(BaseModel):
    mean: float
    p50: float = Field(description="a value that occurred (nearest rank)")
    p95: float
    max: float


class Statistics(BaseModel):
    """Of the attempts in this answer. Those that still run have no `run_ms`."""

    attempts: int
    peak: int = Field(description="most of them that overlapped, over all processes")
    queue_wait_ms: Spread | None
    run_ms: Spread | None
    cpu_ms: Spread | None


class Totals(BaseModel):
    """Of all of the batch's attempts that ended, in this answer or not."""

    run_ms: float
    cpu_ms: float


class Timeline(BaseModel):
    """When and on which threads a batch's jobs ran, in the order of its jobs."""

    model_config = ConfigDict(json_schema_extra={"examples": [TIMELINE]})

    batch_id: str
    origin_at: datetime = Field(description="the batch's creation: 0 of all times here")
    concurrency: Concurrency
    elapsed_s: float | None
    threads: list[ThreadRow]
    statistics: Statistics
    totals: Totals
    truncated: bool = Field(description="whether more jobs follow: see `next`")
    next: str | None = Field(description="path of the next page")


class TraceData(BaseModel):
    batch_id: str
    truncated: bool = Field(description="whether more jobs follow: see the header `Link`")


class Trace(BaseModel):
    """A trace in the Trace Event Format, for Perfetto or chrome://tracing."""

    traceEvents: list[dict[str, Any]] = Field(description="times in microseconds")  # noqa: N815
    displayTimeUnit: Literal["ms"]  # noqa: N815
    otherData: TraceData  # noqa: N815


class TimelineOrTrace(RootModel[Timeline | Trace]):
    """A timeline, or by `format=chrome-trace` the same as a trace."""

    model_config = ConfigDict(json_schema_extra={"examples": [TIMELINE]})
