"""What jobs printed, in the order printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from service.operations.jobs import PAGE, Jobs
from service.operations.parts import UseCase
from service.store import pages
from service.store.pages import Page


class Console(UseCase):
    """Text in pieces. All raise NotFound, also for what another caller made, and Expired, before
    the first piece; and between two if the batch is removed meanwhile."""

    def of_batch(self, batch_id: str) -> Iterator[str]:
        with self._store.snapshot() as connection:
            key = self._find(connection, batch_id).key
        return self._texts(pages.console_page, key, batch_id)

    def of_job(self, batch_id: str, index: int) -> Iterator[str]:
        job = Jobs(self._parts, self._caller).show(batch_id, index).jobs[0]
        return self._texts(pages.console_of_job, job.key, batch_id)

    def _texts(self, page_of: Callable[..., Page], key: int, batch_id: str) -> Iterator[str]:
        after: int | None = 0
        while after is not None:
            with self._store.snapshot() as connection:
                self._find(connection, batch_id)  # else one that is deleted now would look whole
                rows, after = page_of(connection, key, after=after, limit=PAGE)
            yield "".join(row.text for row in rows)
