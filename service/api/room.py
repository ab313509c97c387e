"""Memory for large JSON bodies: as Python objects they take up to thirty times their size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from service.errors import Busy

LIGHT_BYTES = 65_536
"""A body up to this needs no room: as many of them as there are threads are not much."""

WAIT_S = 1.0
"""Waiting holds a request thread."""


class Room:
    """So many bytes of JSON may be worked on at once; other requests wait for their turn."""

    def __init__(self, most: int) -> None:
        self._left = most  # request threads take and give back; guarded by _changed
        self._changed = Condition()

    @contextmanager
    def entered(self) -> Iterator[Callable[[int], None]]:
        """Inside, what is yielded takes room for a body. Raises Busy if there is none for long."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > LIGHT_BYTES:
                self._take(size)
                taken += size

        try:
            yield take
        finally:
            with self._changed:
                self._left += taken
                self._changed.notify_all()

    def _take(self, size: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._left >= size, WAIT_S):
                raise Busy
            self._left -= size
