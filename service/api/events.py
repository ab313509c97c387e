"""A batch as Server-Sent Events (HTML Standard, 9.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any

from sqlalchemy import Row

from service.api.present import COUNTS, batch_view, dumps, ended_job
from service.model import BATCH_ENDED
from service.operations.following import EndedJobs
from service.store import queries

RETRY_MS = 1_000
"""How long a browser waits before it connects again."""

BEAT_S = 15.0
"""Between two comments, for those on the way who close what is silent."""

BATCH_PACE_S = 0.5
"""Between two ``batch`` events."""


class Events:
    """Each ended job is a ``job``; each change of status or counts a ``batch``, coalesced.

    An event's id is the seq of the last job that has been told. The final ``batch``, after all
    jobs, has the id behind them: ``final_id``.
    """

    def __init__(self, after: int, now_ms: Callable[[], int]) -> None:
        self._seq = after
        self._now_ms = now_ms
        self._told: tuple[Any, ...] | None = None
        self._told_at = self._beat_at = monotonic()

    def of(self, pages: Iterable[EndedJobs]) -> Iterator[str]:
        yield f"retry: {RETRY_MS}\n\n"
        for page in pages:
            text = "".join(self._of_page(page))
            if text:
                yield text

    def _of_page(self, page: EndedJobs) -> Iterator[str]:
        for job in page.jobs:
            self._seq = queries.result_seq(job) or self._seq
            yield _event("job", self._seq, ended_job(page.batch, job))
        if page.last:
            yield self._batch(page.batch, final_id(page.batch))
        elif self._is_news(page.batch):
            yield self._batch(page.batch, self._seq)
        if monotonic() - self._beat_at >= BEAT_S:
            self._beat_at = monotonic()
            yield ": still here\n\n"

    def _is_news(self, batch: Row[Any]) -> bool:
        """Whether to tell of it now. Its end is told last, also when jobs have still to be."""
        paced = self._told is None or monotonic() - self._told_at >= BATCH_PACE_S
        return paced and batch.status not in BATCH_ENDED and _state(batch) != self._told

    def _batch(self, batch: Row[Any], event_id: int) -> str:
        self._told, self._told_at = _state(batch), monotonic()
        return _event("batch", event_id, dumps(batch_view(batch, self._now_ms())))


def final_id(batch: Row[Any]) -> int:
    """Of the last event; who has seen it has seen all."""
    return int(batch.total) + 1


def _state(batch: Row[Any]) -> tuple[Any, ...]:
    return (batch.status, *(getattr(batch, name) for name in COUNTS))


def _event(name: str, event_id: int, data: str) -> str:
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n"
