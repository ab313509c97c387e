"""What comes back, as models. Only the document is made of them: ``present`` writes answers
straight from rows, and tests hold the two together.

Every field is always there. Clients should pass over fields that they do not know.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel

from service.api.openapi import examples
from service.model import Executor, PrintLock

JobStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


def _example(value: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


# --- batches ----------------------------------------------------------------------------------


class Counts(BaseModel):
    """How many jobs are in which state. They always sum to `total`; `running` includes those
    that are `cancelling`."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class Concurrency(BaseModel):
    """How concurrent the batch was, measured."""

    average: float | None = Field(description="sum of run times over elapsed time")
    peak: int = Field(
        description="most jobs that were on a thread at once. Exact if one process ran the batch; "
        "over several it is the highest of any, or what was seen of jobs that run for half a "
        "second or longer in all together"
    )
    cpu_parallelism: float | None = Field(description="sum of CPU times over elapsed time")


class Links(BaseModel):
    """Paths of what belongs to the batch."""

    self_: str = Field(alias="self")
    jobs: str
    results: str
    console: str
    events: str
    timeline: str
    cancel: str | None = Field(description="null after the end")


class Batch(BaseModel):
    """The status of a batch: at most 1 KiB, whatever the batch holds."""

    model_config = _example(examples.BATCH)

    id: str
    name: str | None
    labels: dict[str, str]
    executor: Executor
    max_workers: int | None
    lock: PrintLock
    priority: int
    status: Literal["queued", "running", "cancelling", "completed", "cancelled"]
    outcome: Literal["succeeded", "partial", "failed", "cancelled"] | None = Field(
        description="null until the end; `completed` alone does not say that the work succeeded"
    )
    counts: Counts
    concurrency: Concurrency
    elapsed_s: float | None = Field(
        description="from the first job's start to the last one's end, or to now"
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(description="after this the batch is 410, then 404")
    eta_s: int | None = Field(description="null until five jobs have ended")
    poll_after_s: int | None = Field(description="ask again after so long; null after the end")
    retry_of: str | None = Field(description="the batch whose jobs these were")
    links: Links


class BatchPage(BaseModel):
    model_config = _example({"items": [examples.BATCH], "next": None})

    items: list[Batch]
    next: str | None = Field(description="path of the next page")


class DryRun(BaseModel):
    """The batch is valid. Nothing was stored."""

    model_config = _example({"valid": True, "total": 100})

    valid: Literal[True]
    total: int = Field(description="jobs in it")


class BatchOrDryRun(RootModel[Batch | DryRun]):
    """A batch that has ended, or the answer to a dry run."""

    model_config = _example(examples.BATCH)


class Cancelled(BaseModel):
    """What cancelling did."""

    model_config = _example({"cancelled_queued": 61, "still_running": 8})

    cancelled_queued: int
    still_running: int = Field(
        description="jobs that were told to stop; each stops when its code looks"
    )


# --- jobs -------------------------------------------------------------------------------------


class JobError(BaseModel):
    """Why a job, or an attempt, failed. Some codes bring more fields."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="stable, lower_snake_case")
    detail: str
    retryable: bool = Field(description="whether another attempt may succeed")


class Attempt(BaseModel):
    """One execution of a job."""

    n: int = Field(description="from 1")
    thread: str | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cpu_ms: float | None
    error: JobError | None


class Job(BaseModel):
    """One job, with all of its attempts."""

    model_config = _example(examples.JOB)

    id: str = Field(description="`<batch id>.<index>`")
    batch_id: str
    index: int = Field(description="place in the batch, from 0")
    custom_id: str | None
    type: str
    params: dict[str, Any] | None = Field(description="as submitted")
    status: JobStatus
    wait_reason: (
        Literal[
            "pool_full",
            "batch_limit",
            "host_limit",
            "robots_delay",
            "retry_backoff",
            "scheduled",
            "quarantine",
        ]
        | None
    ) = Field(description="why it is still queued")
    attempts: list[Attempt]
    error: JobError | None
    result: JsonValue = Field(description="what its type returns; null without one")


class JobPage(BaseModel):
    model_config = _example({"items": [examples.JOB], "next": None})

    items: list[Job]
    next: str | None = Field(description="path of the next page")


class Result(BaseModel):
    """How a job ended, or how it stands: every job of a batch has one."""

    model_config = _example(examples.RESULT)

    seq: int | None = Field(description="place in the order of completion; null before the end")
    index: int
    custom_id: str | None
    job_id: str
    type: str
    status: JobStatus
    error: JobError | None
    result: JsonValue = Field(description="what its type returns; null without one")


class ResultPage(BaseModel):
    model_config = _example({"items": [examples.RESULT], "next": None})

    items: list[Result]
    next: str | None = Field(description="path of the next page")


class Event(BaseModel):
    """One Server-Sent Event."""

    model_config = _example(examples.EVENT)

    event: Literal["job", "batch"]
    id: str = Field(pattern="^[0-9]+$", description="what `Last-Event-ID` and `after` go on behind")
    data: str = Field(
        description="JSON: of a `job` its `Result`, with a link in place of the result itself; of "
        "a `batch` the `Batch`",
        json_schema_extra={"contentMediaType": "application/json"},
    )


# --- the service ------------------------------------------------------------------------------


class JobExample(BaseModel):
    type: str
    params: dict[str, Any]


class JobType(BaseModel):
    """What a job may do."""

    model_config = _example(examples.JOB_TYPE)

    name: str
    description: str
    params_schema: dict[str, Any] = Field(description="JSON Schema of the params")
    example: JobExample


class JobTypes(BaseModel):
    items: list[JobType]
    next: None


class Threads(BaseModel):
    """Threads of the process that answers."""

    busy: int
    idle: int
    not_returned: int = Field(description="past their job's timeout, and replaced")


class ExecutorState(BaseModel):
    """How busy the service is, and what its limits are."""

    model_config = _example(examples.EXECUTOR)

    version: str = Field(description="of jobspool")
    threads: Threads
    queued: int
    oldest_wait_s: float | None
    processes: int
    limits: dict[str, float]


class Health(BaseModel):
    model_config = _example({"status": "ok"})

    status: Literal["ok", "ready"]


class OpenApi(BaseModel):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


# --- problems ---------------------------------------------------------------------------------


class Flaw(BaseModel):
    pointer: str = Field(description="JSON Pointer (RFC 6901) into the body, or `/query/<name>`")
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="a stable URI for the code")
    title: str
    status: int
    detail: str
    code: str = Field(description="stable; what a program should look at")
    request_id: str | None = Field(description="quote it when you report something")


class InvalidProblem(Problem):
    """All that is wrong with the input; the first hundred of it are listed."""

    errors: list[Flaw] = Field(default_factory=list)
    errors_left_out: int = Field(0, description="how many more there are")
