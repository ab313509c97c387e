"""Following a batch: what happens in it, page by page, as it happens and until it ends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Row

from service.errors import Draining, Flaw, Invalid, TooManyStreams
from service.model import BATCH_ENDED, ENDED, job_key
from service.operations.console import Console, Reader
from service.operations.jobs import PAGE
from service.operations.news import News
from service.operations.parts import Seat, UseCase
from service.store import pages, queries

PACE_S = 0.1
"""Between two looks, unless there was more than a page: a busy batch has news all the time."""

POLL_S = 0.25
"""How long a follower goes without a look: other processes tell no news."""

StillThere = Callable[[], None]
"""Asked many times a second. Raises what ends the stream if its client has gone."""


class EndedJobs(NamedTuple):
    """Jobs in the order in which they ended, or their lines, read in one snapshot with the
    batch."""

    batch: Row[Any]
    jobs: Sequence[Row[Any]]
    more: bool

    @property
    def last(self) -> bool:
        return not self.more and self.batch.status in BATCH_ENDED


class Printed(NamedTuple):
    """A piece of a console, UTF-8."""

    text: bytes
    more: bool
    last: bool


Page = TypeVar("Page", EndedJobs, Printed)
Look = Callable[[Connection], Page]


class Followed(Generic[Page]):
    """Pages as they come, also empty ones; the last says so. Holds a seat until then, or until
    it is closed."""

    def __init__(self, pages: Generator[Page, None, None], seat: Seat) -> None:
        self._pages: Generator[Page, None, None] = pages
        self._seat = seat

    def __iter__(self) -> Iterator[Page]:
        return self._pages

    def close(self) -> None:
        """Safe twice."""
        self._pages.close()
        self._seat.leave()


class Following(UseCase):
    """What each of these returns raises, between two pages, Draining when the service stops,
    NotFound and Expired when the batch is removed: the client can go on where it was, elsewhere
    or later, or is told what became of the batch.

    They themselves raise these, TooManyStreams, and Invalid for a place that is not there.
    """

    def results(self, batch_id: str, *, after: int, still_there: StillThere) -> Followed[EndedJobs]:
        """The lines of jobs as they end, behind the seq ``after``."""
        return self._ended_jobs(batch_id, after, still_there, results=True)

    def heads(self, batch_id: str, *, after: int, still_there: StillThere) -> Followed[EndedJobs]:
        """The jobs themselves, without their results."""
        return self._ended_jobs(batch_id, after, still_there, results=False)

    def _ended_jobs(
        self, batch_id: str, after: int, still_there: StillThere, *, results: bool
    ) -> Followed[EndedJobs]:
        with self._store.snapshot() as connection:
            total = self._find(connection, batch_id).total
        if after > total:
            detail = f"is the seq of no job: this batch has {total}"
            raise Invalid([Flaw("/query/after", detail)])

        def look(connection: Connection) -> EndedJobs:
            nonlocal after
            batch = self._find(connection, batch_id)
            rows, end = pages.finished_page(
                connection, batch, after=after, limit=PAGE, results=results
            )
            after = queries.result_seq(rows[-1]) or 0 if rows else after
            return EndedJobs(batch, rows, end is not None)

        return self._follow(batch_id, still_there, look)

    def console(self, batch_id: str, *, after: int, still_there: StillThere) -> Followed[Printed]:
        """What the batch's jobs print, behind the first ``after`` bytes."""
        reader = Console(self._parts, self._caller).batch_reader(batch_id, after)

        def look(connection: Connection) -> Printed:
            ended = self._find(connection, batch_id).status in BATCH_ENDED
            return _printed(reader, connection, ended=ended)

        return self._follow(batch_id, still_there, look)

    def console_of_job(
        self, batch_id: str, index: int, *, after: int, still_there: StillThere
    ) -> Followed[Printed]:
        """What one job prints, all its attempts, behind the first ``after`` bytes."""
        reader = Console(self._parts, self._caller).job_reader(batch_id, index, after)

        def look(connection: Connection) -> Printed:
            batch = self._find(connection, batch_id)
            job = queries.find_job(connection, job_key(batch.key, index))
            return _printed(reader, connection, ended=job is None or job.state in ENDED)

        return self._follow(batch_id, still_there, look)

    def _follow(self, batch_id: str, still_there: StillThere, look: Look[Page]) -> Followed[Page]:
        self._refuse_while_draining()
        seat = self._parts.seats.take()
        if seat is None:
            most = self._parts.seats.total
            raise TooManyStreams(f"{most} streams and waits are open here, which is the most")
        return Followed(self._pages(batch_id, seat, still_there, look), seat)

    def _pages(
        self, batch_id: str, seat: Seat, still_there: StillThere, look: Look[Page]
    ) -> Generator[Page, None, None]:
        try:
            with self._parts.news.of(batch_id) as news:
                while True:
                    looked_at = monotonic()
                    with self._store.snapshot() as connection:
                        page = look(connection)
                    yield page
                    if page.last:
                        return
                    if not page.more:
                        _await(news, looked_at)
                    self._refuse_while_draining()
                    still_there()
        finally:
            seat.leave()

    def _refuse_while_draining(self) -> None:
        if self._parts.engine.draining:
            raise Draining(
                "the service is stopping; follow again, from where you are, when it is back"
            )


def _await(news: News, looked_at: float) -> None:
    """Until it is time to look again: at the latest news, and at the last at once."""
    news.changed.wait(POLL_S)
    news.ended.wait(max(0.0, looked_at + PACE_S - monotonic()))
    news.changed.clear()
    news.ended.clear()


def _printed(reader: Reader, connection: Connection, *, ended: bool) -> Printed:
    text, more = reader.read(connection)
    return Printed(text, more, last=ended and not more)
