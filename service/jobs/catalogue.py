"""The job types that this service knows: its own, and those that teams install."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from service.errors import StartRefused
from service.jobs.contract import JobType

ENTRY_POINTS = "jobspool.jobs"

log = logging.getLogger(__name__)


class Catalogue:
    """Job types by name. Fixed once made."""

    def __init__(self, job_types: Iterable[JobType[Any]]) -> None:
        self._by_name: dict[str, JobType[Any]] = {}
        for job_type in job_types:
            if job_type.name in self._by_name:
                raise StartRefused(f"two job types are named {job_type.name!r}")
            self._by_name[job_type.name] = job_type

    def get(self, name: str) -> JobType[Any] | None:
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[JobType[Any]]:
        return iter(self._by_name.values())

    def close(self) -> None:
        for job_type in self:
            job_type.close()


def installed_job_types() -> list[JobType[Any]]:
    """Job types of other packages: each entry point of ``jobspool.jobs`` is a JobType subclass.

    Raises StartRefused for one that can't be used: better no service than one that refuses
    a team's batches one by one.
    """
    return [_load(entry) for entry in entry_points(group=ENTRY_POINTS)]


def _load(entry: EntryPoint) -> JobType[Any]:
    try:
        loaded = entry.load()
        job_type = loaded()
    except Exception as error:
        raise StartRefused(f"job type {entry.name!r} ({entry.value}) fails: {error!r}") from error
    if not isinstance(job_type, JobType):
        raise StartRefused(f"job type {entry.name!r} ({entry.value}) is not a JobType")
    for attribute in ("name", "description", "params_model", "example"):
        if not hasattr(job_type, attribute):
            raise StartRefused(f"job type {entry.name!r} ({entry.value}) has no {attribute}")
    log.info("job type found", extra={"job_type": job_type.name, "source": entry.value})
    return job_type
