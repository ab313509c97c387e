"""Numbers in memory that a master and its workers share.

The master makes the board before it forks and gives each worker a slot; a worker writes to its
own slot and reads all. A slot outlives its worker: the next one goes on counting where that one
died, so sums never go backwards and there are never more slots than workers. There is no file
to find, to clear at the start, or to grow with each worker that comes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from mmap import mmap
from struct import Struct
from threading import Lock

Series = tuple[str, ...]
"""A metric's name, then the values of its labels."""

MOST_SERIES = 4_000
"""Of a slot. The labels are few by design; past this a new series is not counted, and told."""

_RECORD = Struct("=dH246s")
"""A number, the length of its series' name, and that name: a JSON list."""

_COUNT = Struct("=q248x")
"""Before the records: how many there are."""

SLOT_BYTES = _COUNT.size + MOST_SERIES * _RECORD.size


log = logging.getLogger(__name__)


class Scoreboard:
    """Anonymous shared memory; untouched slots cost nothing."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.memory = mmap(-1, slots * SLOT_BYTES)

    def free_slot(self, taken: Iterable[int | None]) -> int | None:
        """The first that is not taken, so that slots are used again; None if all are."""
        held = set(taken)
        return next((n for n in range(self.slots) if n not in held), None)

    def read(self) -> Iterator[tuple[Series, float]]:
        """Every series of every slot."""
        for n in range(self.slots):
            yield from _records(self.memory, n)


class Slot:
    """Where one process counts. Every thread of it may."""

    def __init__(self, board: Scoreboard, number: int = 0) -> None:
        self._memory = board.memory
        self._start = number * SLOT_BYTES
        self._lock = Lock()
        # one number after the other: a store to an aligned one is never seen half done
        self._numbers = memoryview(board.memory).cast("d")
        # where a series has its number; guarded by _lock
        self._places = {
            series: self._place(n) for n, (series, _) in enumerate(_records(self._memory, number))
        }

        self._full = False  # guarded by _lock

    def add(self, amounts: Iterable[tuple[Series, float]]) -> None:
        self._write(amounts, keep=True)

    def set(self, values: Iterable[tuple[Series, float]]) -> None:
        self._write(values, keep=False)

    def _write(self, values: Iterable[tuple[Series, float]], *, keep: bool) -> None:
        left_out = None
        with self._lock:
            for series, value in values:
                place = self._places.get(series) or self._enter(series)
                if place:
                    self._numbers[place] = self._numbers[place] * keep + value
                elif not self._full:
                    self._full, left_out = True, series
        if left_out:
            log.warning("metrics are full, new series are left out", extra={"series": left_out})

    def clear(self, names: Iterable[str]) -> None:
        """Set the series of these metrics to zero."""
        gone = set(names)
        self.set([(series, 0.0) for series in list(self._places) if series[0] in gone])

    def _enter(self, series: Series) -> int:
        """A place for a new series; 0 if there is none left."""
        n, name = len(self._places), json.dumps(series).encode()
        if n >= MOST_SERIES or len(name) > 246:
            return 0
        record = self._start + _COUNT.size + n * _RECORD.size
        _RECORD.pack_into(self._memory, record, 0.0, len(name), name)
        # counted last: who reads meanwhile sees it whole, or not
        _COUNT.pack_into(self._memory, self._start, n + 1)
        self._places[series] = self._place(n)
        return self._places[series]

    def _place(self, n: int) -> int:
        return (self._start + _COUNT.size + n * _RECORD.size) // 8


def _records(memory: mmap, number: int) -> Iterator[tuple[Series, float]]:
    start = number * SLOT_BYTES
    (count,) = _COUNT.unpack_from(memory, start)
    for n in range(count):
        value, length, name = _RECORD.unpack_from(memory, start + _COUNT.size + n * _RECORD.size)
        yield tuple(json.loads(name[:length])), value
