"""The jobs of a batch, page by page or one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from service.errors import NotFound
from service.model import batch_of, index_of, job_key
from service.operations.parts import UseCase
from service.store import pages, queries
from service.store.pages import Page

PAGE = 1_000


class JobPage(NamedTuple):
    """Jobs of a batch, read in one snapshot with the batch."""

    batch: Row[Any]
    jobs: Sequence[Row[Any]]
    earlier: dict[int, list[Row[Any]]]
    end: int | None = None  # the index behind which the next page begins; None after the last


class Jobs(UseCase):
    """All raise NotFound, also for what another caller made, and Expired."""

    def page(
        self, batch_id: str, *, after: int = -1, limit: int = PAGE, status: str | None = None
    ) -> JobPage:
        """In submission order, from the index ``after + 1``."""
        with self._store.snapshot() as connection:
            batch = self._find(connection, batch_id)
            if status == "succeeded" and not batch.succeeded:
                return JobPage(batch, [], {})
            jobs, end = pages.jobs_page(
                connection, batch.key, after=after, limit=limit, status=status
            )
            earlier = queries.attempts_of(connection, [job.key for job in jobs if job.attempt > 1])
            return JobPage(batch, jobs, earlier, None if end is None else index_of(end))

    def pages(self, batch_id: str) -> Iterator[JobPage]:
        """Every job in submission order. Each page is a snapshot of its own: a slow reader
        of a huge batch must not hold back the WAL's checkpoint."""
        return _all(lambda after: self.page(batch_id, after=after))

    def results(self, batch_id: str) -> Iterator[JobPage]:
        """As ``pages``, with only what a line of the results tells of a job."""

        def read(connection: Connection, batch: Row[Any], after: int) -> Page:
            return pages.results_page(connection, batch.key, after=after, limit=PAGE)

        return self._read_all(batch_id, read)

    def lines(self, batch_id: str) -> Iterator[JobPage]:
        """As ``results``, but each job is its ``line`` already."""

        def read(connection: Connection, batch: Row[Any], after: int) -> Page:
            return pages.lines_page(connection, batch, after=after, limit=PAGE)

        return self._read_all(batch_id, read)

    def _read_all(
        self, batch_id: str, read: Callable[[Connection, Row[Any], int], Page]
    ) -> Iterator[JobPage]:
        def behind(after: int) -> JobPage:
            with self._store.snapshot() as connection:
                batch = self._find(connection, batch_id)
                jobs, end = read(connection, batch, after)
            return JobPage(batch, jobs, {}, None if end is None else index_of(end))

        return _all(behind)

    def show(self, batch_id: str, index: int) -> JobPage:
        """One job, as a page."""
        with self._store.snapshot() as connection:
            batch = self._find(connection, batch_id)
            job = queries.find_job(connection, job_key(batch.key, index))
            if job is None:
                raise NotFound(f"batch {batch_id} has no job {index}")
            return JobPage(batch, [job], queries.attempts_of(connection, [job.key]))

    def cancel(self, batch_id: str, index: int) -> JobPage:
        """Cancel one job; repeatable. Returns it as it then is."""
        job = self.show(batch_id, index).jobs[0]
        self._store.cancel_job(job.key, batch_of(job.key))
        self._parts.engine.cancel([job.key])
        return self.show(batch_id, index)


def _all(page_behind: Callable[[int], JobPage]) -> Iterator[JobPage]:
    after: int | None = -1
    while after is not None:
        page = page_behind(after)
        yield page
        after = page.end
