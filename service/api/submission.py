"""What a client may submit, checked: JSON, a list of URLs, or NDJSON read as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from service.api.body import Body, parse_json
from service.api.flaws import Flaws
from service.api.present import dumps
from service.errors import Flaw, Invalid, Malformed, TooLarge
from service.jobs.catalogue import Catalogue
from service.json_text import compact
from service.model import BatchOptions, Executor, JobSpec, PrintLock

MAX_TIMEOUT_S = 86_400
MAX_ATTEMPTS = 20
MAX_WORKERS = 10_000
MAX_LABELS = 8
MAX_SHOWN = 105
"""Bytes of a batch's name and labels as JSON: they stand in each answer to a poll."""
MAX_VALUES = 100_000
"""Values in one job's params: checking them costs a kilobyte for each that is wrong."""

Timeout = Annotated[
    float,
    Field(
        gt=0,
        le=MAX_TIMEOUT_S,
        allow_inf_nan=False,
        description="Seconds after which an attempt is told to stop, and fails",
    ),
]
Attempts = Annotated[
    int,
    Field(
        ge=1,
        le=MAX_ATTEMPTS,
        description="Executions after which a failure that might pass is final",
    ),
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class JobIn(Strict):
    """A job of a batch."""

    type: str = Field(max_length=100, description="a name of GET /v1/job-types")
    custom_id: str | None = Field(None, max_length=200, description="yours; comes back in results")
    params: dict[str, Any] = Field(default_factory=dict, description="as its type defines them")
    timeout_s: Timeout | None = None
    max_attempts: Attempts | None = None


class Defaults(Strict):
    """For the jobs that do not say it themselves."""

    timeout_s: Timeout | None = None
    max_attempts: Attempts | None = None


def _small(labels: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    shown = dumps([info.data.get("name"), labels])
    if len(shown.encode()) > MAX_SHOWN:
        raise ValueError(f"name and labels are more than {MAX_SHOWN} bytes of JSON together")
    return labels


class OptionsIn(Strict):
    """What a batch may choose."""

    name: str | None = Field(None, max_length=100, description="Yours; batches can be listed by it")
    labels: Annotated[dict[Label, Label], AfterValidator(_small)] = Field(
        default_factory=dict,
        max_length=MAX_LABELS,
        description=f"Yours; with the name at most {MAX_SHOWN} bytes of JSON",
    )
    executor: Executor = Field(
        Executor.POOL,
        strict=False,
        description="How the jobs get their threads: from the shared pool, one each, or one for "
        "all of them, one after another",
    )
    max_workers: int | None = Field(
        None, ge=1, le=MAX_WORKERS, description="How many jobs run at once, at most"
    )
    lock: PrintLock = Field(
        PrintLock.LINE,
        strict=False,
        description="What jobs hold while they print: a lock for each line, for the whole job, "
        "or none",
    )
    priority: int = Field(0, ge=-100, le=100, description="Higher ones go first")
    ttl_s: int | None = Field(
        None, ge=1, le=31_536_000, description="Seconds that the batch is kept after its end"
    )

    def options(self) -> BatchOptions:
        return BatchOptions(
            name=self.name,
            labels=self.labels,
            executor=self.executor,
            max_workers=self.max_workers,
            lock=self.lock,
            priority=self.priority,
            ttl_s=self.ttl_s,
        )


class BatchIn(OptionsIn):
    """The JSON body of POST /v1/batches. Its jobs are checked one by one afterwards."""

    defaults: Defaults = Field(default_factory=Defaults)
    jobs: list[Any] = Field(min_length=1)


class Retry(Strict):
    """Which jobs of the batch to run again, by their state."""

    status: list[Literal["failed", "cancelled", "succeeded"]] = Field(
        default=["failed", "cancelled"], min_length=1, max_length=3
    )


class Submission(NamedTuple):
    """A checked batch. ``specs`` may still be a stream, and raise Invalid at its end."""

    options: BatchOptions
    specs: Iterable[JobSpec]


class Inspector:
    """Checks jobs one after another."""

    def __init__(
        self, catalogue: Catalogue, defaults: Defaults, flaws: Flaws, *, max_jobs: int
    ) -> None:
        self._catalogue = catalogue
        self._defaults = defaults
        self._flaws = flaws
        self._max_jobs = max_jobs
        self._count = 0

    def inspect(self, raw: Any) -> JobSpec | None:
        """The job to store; None once anything is wrong with the batch. Raises TooLarge."""
        index = self._next()
        job = self._flaws.checked(JobIn, raw, "jobs", index)
        if job is None:
            return None
        params = compact(job.params)
        host = self._host(job, params, index)
        if self._flaws.count:
            return None
        return JobSpec(
            job.type,
            params,
            job.custom_id,
            job.timeout_s or self._defaults.timeout_s,
            job.max_attempts or self._defaults.max_attempts or 1,
            host,
        )

    def reject(self, detail: str) -> None:
        """Count a job that could not even be read. Raises TooLarge."""
        self._flaws.add(f"/jobs/{self._next()}", detail)

    def specs(self, raws: Iterable[Any]) -> Iterator[JobSpec]:
        """Check a stream: good jobs come out until the first that is bad, whose like are then
        counted to the end, where Invalid is raised."""
        for raw in raws:
            spec = self.inspect(raw)
            if spec is not None:
                yield spec
        if not self._count:
            self._flaws.add("/jobs", "a batch needs at least one job")
        self._flaws.conclude(f"{self._count} jobs")

    def _next(self) -> int:
        """The next job's place."""
        if self._count == self._max_jobs:
            raise too_many_jobs(self._max_jobs)
        self._count += 1
        return self._count - 1

    def _host(self, job: JobIn, text: str, index: int) -> str | None:
        """Check the params by the job's type; returns the host that the job will visit. ``text``
        is the params as JSON."""
        job_type = self._catalogue.get(job.type)
        if job_type is None:
            known = ", ".join(sorted(one.name for one in self._catalogue))
            detail = f"there is no job type {job.type!r}; there are {known}"
            self._flaws.add(f"/jobs/{index}/type", detail)
            return None
        # a value and what parts it from the next are two characters at least
        if len(text) > MAX_VALUES and _has_more_values(job.params, MAX_VALUES):
            self._flaws.add(f"/jobs/{index}/params", f"holds more than {MAX_VALUES} values")
            return None
        params = self._flaws.checked(job_type.params_model, job.params, "jobs", index, "params")
        if params is None:
            return None
        if found := job_type.check_params(params):
            self._flaws.extend(f"/jobs/{index}/params", found)
            return None
        return job_type.host(params)


def _has_more_values(value: Any, most: int) -> bool:
    seen, todo = 0, [value]
    while todo and seen <= most:
        inner = todo.pop()
        seen += len(inner)
        values = inner.values() if isinstance(inner, dict) else inner
        todo += [one for one in values if isinstance(one, dict | list)]
    return seen > most


def too_many_jobs(bound: int) -> TooLarge:
    return TooLarge(f"a batch has at most {bound} jobs (max_batch_jobs)")


def from_json(text: bytes, catalogue: Catalogue, *, max_jobs: int) -> Submission:
    """Raises Malformed, Invalid (every flaw), TooLarge."""
    raw = parse_json(text)
    if not isinstance(raw, dict):
        raise Invalid([Flaw("", "the body must be a JSON object with `jobs` in it")])
    given = raw.get("jobs")
    jobs = given if isinstance(given, list) else []
    if len(jobs) > max_jobs:
        raise too_many_jobs(max_jobs)
    flaws = Flaws()
    batch = flaws.checked(BatchIn, raw)
    defaults = batch.defaults if batch else Defaults()
    inspector = Inspector(catalogue, defaults, flaws, max_jobs=max_jobs)
    specs = [spec for spec in map(inspector.inspect, jobs) if spec]
    flaws.conclude("the batch")
    return Submission(batch.options() if batch else BatchOptions(), specs)


def from_urls(
    body: Body, options: BatchOptions, defaults: Defaults, catalogue: Catalogue, *, max_jobs: int
) -> Submission:
    """One URL a line, each a scrape; blank lines are passed over."""
    inspector = Inspector(catalogue, defaults, Flaws(), max_jobs=max_jobs)
    lines = (_text(line) for line in body.lines())
    jobs = ({"type": "scrape", "params": {"url": line}} for line in lines if line)
    return Submission(options, inspector.specs(jobs))


def from_ndjson(
    body: Body, options: BatchOptions, defaults: Defaults, catalogue: Catalogue, *, max_jobs: int
) -> Submission:
    """One job a line, read as it comes; blank lines are passed over."""
    inspector = Inspector(catalogue, defaults, Flaws(), max_jobs=max_jobs)
    return Submission(options, inspector.specs(_json_lines(body, inspector, max_jobs)))


def _json_lines(body: Body, inspector: Inspector, max_jobs: int) -> Iterator[Any]:
    blank = 0
    for n, line in enumerate(body.lines(), 1):
        if not line.strip():
            blank += 1
            if blank > max_jobs:  # a gigabyte of them is a minute's work
                raise TooLarge(f"there are more than {max_jobs} blank lines (max_batch_jobs)")
            continue
        try:
            yield parse_json(line, most=MAX_VALUES)
        except Malformed as malformed:
            inspector.reject(f"line {n}: {malformed.detail}")


def _text(line: bytes) -> str:
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
