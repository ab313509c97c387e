"""What jobs printed, in the order printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from service.errors import Flaw, Invalid
from service.operations.jobs import PAGE, Jobs
from service.operations.parts import UseCase
from service.store import pages
from service.store.pages import Page, Place


class Reader:
    """Reads a console on from a place, page by page, as UTF-8."""

    def __init__(self, page_of: Callable[..., Page], key: int, place: Place) -> None:
        self._page_of = page_of
        self._key = key
        self._after, self._skip = place

    def read(self, connection: Connection) -> tuple[bytes, bool]:
        """What follows, as far as it makes a page; and whether there is more of it."""
        rows, end = self._page_of(connection, self._key, after=self._after, limit=PAGE)
        if not rows:
            return b"", False
        text = "".join(row.text for row in rows).encode()[self._skip :]
        self._after, self._skip = rows[-1].key, 0
        return text, end is not None


class Console(UseCase):
    """Text in pieces, from a position: so many bytes are left out, which a client has already.

    All raise NotFound, also for what another caller made, Expired, and Invalid for a position
    behind what was printed, before the first piece; and the first two between two pieces, if the
    batch is removed meanwhile.
    """

    def of_batch(self, batch_id: str, *, after: int = 0) -> Iterator[bytes]:
        return self._texts(self.batch_reader(batch_id, after), batch_id)

    def of_job(self, batch_id: str, index: int, *, after: int = 0) -> Iterator[bytes]:
        return self._texts(self.job_reader(batch_id, index, after), batch_id)

    def batch_reader(self, batch_id: str, position: int) -> Reader:
        with self._store.snapshot() as connection:
            batch = self._find(connection, batch_id)
            place = pages.console_place(connection, batch, position)
        return Reader(pages.console_page, batch.key, _printed(place))

    def job_reader(self, batch_id: str, index: int, position: int) -> Reader:
        key = Jobs(self._parts, self._caller).show(batch_id, index).jobs[0].key
        with self._store.snapshot() as connection:
            place = pages.console_place_of_job(connection, key, position)
        return Reader(pages.console_of_job, key, _printed(place))

    def _texts(self, reader: Reader, batch_id: str) -> Iterator[bytes]:
        more = True
        while more:
            with self._store.snapshot() as connection:
                self._find(connection, batch_id)  # else one that is deleted now would look whole
                text, more = reader.read(connection)
            yield text


def _printed(place: Place | None) -> Place:
    if place is None:
        raise Invalid([Flaw("/query/after", "is more than the bytes printed so far")])
    return place
