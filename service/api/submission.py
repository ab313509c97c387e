"""What a client may submit, checked: JSON, a list of URLs, or NDJSON read as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from service.api.body import Body, parse_json
from service.errors import Flaw, Invalid, Malformed, TooLarge
from service.jobs.catalogue import Catalogue
from service.model import BatchOptions, Executor, JobSpec, PrintLock

MAX_TIMEOUT_S = 86_400
MAX_ATTEMPTS = 20
MAX_WORKERS = 10_000

Timeout = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S, allow_inf_nan=False)]
Attempts = Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)]
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


class OptionsIn(Strict):
    """What a batch may choose."""

    name: str | None = Field(None, max_length=200)
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=20)
    executor: Annotated[Executor, Field(strict=False)] = Executor.POOL
    max_workers: int | None = Field(None, ge=1, le=MAX_WORKERS)
    lock: Annotated[PrintLock, Field(strict=False)] = PrintLock.LINE
    priority: int = Field(0, ge=-100, le=100)
    ttl_s: int | None = Field(None, ge=1, le=31_536_000)

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


_job = TypeAdapter(JobIn)


class Submission(NamedTuple):
    """A checked batch. ``specs`` may still be a stream, and raise Invalid at its end."""

    options: BatchOptions
    specs: Iterable[JobSpec]


class Inspector:
    """Checks jobs one after another, and keeps every flaw it finds, up to a bound."""

    def __init__(self, catalogue: Catalogue, defaults: Defaults, *, max_jobs: int) -> None:
        self._catalogue = catalogue
        self._defaults = defaults
        self._max_jobs = max_jobs
        self._count = 0
        self._flaws: list[Flaw] = []

    def inspect(self, raw: Any) -> JobSpec | None:
        """The job to store; None if something is wrong with it. Raises TooLarge."""
        index = self._count
        self._count += 1
        if self._count > self._max_jobs:
            raise too_many_jobs(self._max_jobs)
        try:
            job = _job.validate_python(raw)
            host = self._host(job)
        except ValidationError as invalid:
            self._note(index, flaws_of(invalid))
            return None
        except Invalid as invalid:
            self._note(index, invalid.flaws)
            return None
        return JobSpec(
            job.type,
            json.dumps(job.params, ensure_ascii=False, separators=(",", ":")),
            job.custom_id,
            job.timeout_s or self._defaults.timeout_s,
            job.max_attempts or self._defaults.max_attempts or 1,
            host,
        )

    def reject(self, flaw: str) -> None:
        """Count a job that could not even be read."""
        self._flaws.append(Flaw(f"/jobs/{self._count}", flaw))
        self._count += 1

    def conclude(self) -> None:
        """Raise Invalid with every flaw found; also if there was no job at all."""
        if not self._count:
            self._flaws.append(Flaw("/jobs", "a batch needs at least one job"))
        if self._flaws:
            raise Invalid(self._flaws, f"{len(self._flaws)} problems in {self._count} jobs")

    def specs(self, raws: Iterable[Any]) -> Iterator[JobSpec]:
        """Check a stream: good jobs come out; at its end Invalid is raised if any was bad."""
        for raw in raws:
            spec = self.inspect(raw)
            if spec is not None and not self._flaws:
                yield spec
        self.conclude()

    def _note(self, index: int, flaws: list[Flaw]) -> None:
        self._flaws += [Flaw(f"/jobs/{index}{pointer}", detail) for pointer, detail in flaws]

    def _host(self, job: JobIn) -> str | None:
        """Check the params by the job's type; returns the host that the job will visit."""
        job_type = self._catalogue.get(job.type)
        if job_type is None:
            known = ", ".join(sorted(one.name for one in self._catalogue))
            raise Invalid([Flaw("/type", f"there is no job type {job.type!r}; there are {known}")])
        try:
            params = job_type.params_model.model_validate(job.params)
            flaws = job_type.check_params(params)
        except ValidationError as invalid:
            flaws = flaws_of(invalid)
        if flaws:
            raise Invalid([Flaw(f"/params{pointer}", detail) for pointer, detail in flaws])
        return job_type.host(params)


def too_many_jobs(bound: int) -> TooLarge:
    return TooLarge(f"a batch has at most {bound} jobs (max_batch_jobs)")


def flaws_of(invalid: ValidationError) -> list[Flaw]:
    return [
        Flaw(_pointer(error["loc"]), error["msg"])
        for error in invalid.errors(include_url=False, include_context=False, include_input=False)
    ]


def _pointer(location: tuple[int | str, ...]) -> str:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return "".join(f"/{part}" for part in parts)


def from_json(body: Body, catalogue: Catalogue, *, max_jobs: int) -> Submission:
    """Raises Malformed, Invalid (every flaw), TooLarge."""
    raw = parse_json(body.all())
    if not isinstance(raw, dict):
        raise Invalid([Flaw("", "the body must be a JSON object with `jobs` in it")])
    flaws: list[Flaw] = []
    jobs = raw.get("jobs")
    if isinstance(jobs, list) and len(jobs) > max_jobs:
        raise too_many_jobs(max_jobs)
    try:
        batch: BatchIn | None = BatchIn.model_validate(raw)
    except ValidationError as invalid:
        batch, flaws = None, flaws_of(invalid)
    defaults = batch.defaults if batch else Defaults()
    inspector = Inspector(catalogue, defaults, max_jobs=max_jobs)
    specs = [inspector.inspect(job) for job in jobs] if isinstance(jobs, list) else []
    if batch is None or None in specs:
        flaws += _found_by(inspector)
        raise Invalid(flaws, f"{len(flaws)} problems in the batch")
    return Submission(batch.options(), [spec for spec in specs if spec])


def _found_by(inspector: Inspector) -> list[Flaw]:
    try:
        inspector.conclude()
    except Invalid as invalid:
        # that the list of jobs is missing or empty has been said by the model
        return [flaw for flaw in invalid.flaws if flaw.pointer != "/jobs"]
    return []


def from_urls(
    body: Body, options: BatchOptions, defaults: Defaults, catalogue: Catalogue, *, max_jobs: int
) -> Submission:
    """One URL a line, each a scrape; blank lines are passed over."""
    inspector = Inspector(catalogue, defaults, max_jobs=max_jobs)
    lines = (_text(line) for line in body.lines())
    jobs = ({"type": "scrape", "params": {"url": line}} for line in lines if line)
    return Submission(options, inspector.specs(jobs))


def from_ndjson(
    body: Body, options: BatchOptions, defaults: Defaults, catalogue: Catalogue, *, max_jobs: int
) -> Submission:
    """One job a line, read as it comes; blank lines are passed over."""
    inspector = Inspector(catalogue, defaults, max_jobs=max_jobs)
    return Submission(options, inspector.specs(_json_lines(body, inspector)))


def _json_lines(body: Body, inspector: Inspector) -> Iterator[Any]:
    for n, line in enumerate(body.lines(), 1):
        if not line.strip():
            continue
        try:
            yield parse_json(line)
        except Malformed as malformed:
            inspector.reject(f"line {n}: {malformed.detail}")


def _text(line: bytes) -> str:
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
