"""Lets request threads wait for what this process's journal writes down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock
from typing import NamedTuple

from service.model import Committed


class News(NamedTuple):
    """Set when a batch has changed (a count, the status, the console), and when it has ended;
    whoever waits clears them."""

    changed: Event
    ended: Event


class BatchNews:
    """What happened to batches: the journal tells, requests listen."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._listening: dict[str, list[News]] = {}  # request threads add and remove; _lock

    def announce(self, done: Committed) -> None:
        if not self._listening:
            return  # who comes now looks before it listens for the first time
        ended = {batch.id for batch in done.batches}
        with self._lock:
            for batch_id in done.touched & self._listening.keys():
                for news in self._listening[batch_id]:
                    news.changed.set()
                    if batch_id in ended:
                        news.ended.set()

    @contextmanager
    def of(self, batch_id: str) -> Iterator[News]:
        """What happens to a batch from now on."""
        news = News(Event(), Event())
        with self._lock:
            self._listening.setdefault(batch_id, []).append(news)
        try:
            yield news
        finally:
            with self._lock:
                self._listening[batch_id].remove(news)
                if not self._listening[batch_id]:
                    del self._listening[batch_id]
