"""When and where the jobs of a batch ran: every attempt, page by page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Row

from service.model import ENDED, JobState, index_of
from service.operations.parts import UseCase
from service.operations.spans import Span
from service.store import pages

_CODE = re.compile(r'\{"code": ?("(?:[^"\\]|\\.)*")')

OWN_STATUS = ("crashed", "handed_back")
"""Errors that say that the attempt came to nothing, and not that the job failed."""


class Timeline(NamedTuple):
    """Spans of a batch, read in one snapshot with it, in the order of its jobs."""

    batch: Row[Any]
    spans: list[Span]
    end: int | None  # the index behind which the next page begins; None after the last


class Timelines(UseCase):
    """Raises NotFound, also for what another caller made, and Expired."""

    def page(self, batch_id: str, *, after: int = -1, limit: int = pages.MOST_SPANS) -> Timeline:
        """The attempts of up to ``limit`` jobs from the index ``after + 1``, and no more than
        MOST_SPANS of them. Jobs that never ran have none."""
        with self._store.snapshot() as connection:
            batch = self._find(connection, batch_id)
            jobs, end = pages.timeline_page(connection, batch.key, after=after, limit=limit)
            earlier = jobs and pages.timeline_attempts(connection, jobs[0].key, jobs[-1].key)
        by_key: dict[int, list[Row[Any]]] = {}
        for attempt in earlier:
            by_key.setdefault(attempt.job_key, []).append(attempt)
        spans = [span for job in jobs for span in _spans_of(job, by_key.get(job.key, []))]
        return Timeline(batch, spans, None if end is None else index_of(end))


def _spans_of(job: Row[Any], earlier: list[Row[Any]]) -> Iterator[Span]:
    for attempt in earlier:
        error = _code(attempt.error)
        status = error if error in OWN_STATUS else "failed"
        yield _span(job, attempt, attempt.n, status, error)
    if _has_begun(job):
        error = _code(job.error)
        status = error if error in OWN_STATUS else job.state
        if job.state == JobState.RUNNING and job.cancelling:
            status = "cancelling"
        yield _span(job, job, job.attempt, status, error)


def _has_begun(job: Row[Any]) -> bool:
    """A running job that shares a shift may wait in it for its thread: then nobody knows yet."""
    if job.state == JobState.RUNNING:
        return job.claimed_ms is not None or bool(job.thread)
    return job.state in ENDED and job.started_ms is not None


def _span(job: Row[Any], made: Row[Any], n: int, status: str, error: str | None) -> Span:
    return Span(
        index=index_of(job.key),
        custom_id=job.custom_id,
        type=job.type,
        attempt=n,
        status=status,
        error=error,
        process=made.owner,
        thread=made.thread or None,
        queued_ms=made.queued_ms,
        started_ms=made.started_ms,
        finished_ms=made.finished_ms,
        cpu_us=made.cpu_us,
    )


def _code(error: str | None) -> str | None:
    """The code of an error of which there is only the beginning."""
    found = _CODE.match(error or "")
    return str(json.loads(found[1])) if found else None
