"""Attempts as spans of time: on which thread, how long, how many at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Span:
    """One attempt. Times are milliseconds since the epoch.

    ``process`` is the node that made it, ``thread`` None where it is not known: the job has
    only just begun, or its process died before it was written down. ``finished_ms`` is None
    while it runs, ``cpu_us`` if nobody could measure it, ``error`` an error's code.
    """

    index: int
    custom_id: str | None
    type: str
    attempt: int
    status: str
    error: str | None
    process: int | None
    thread: str | None
    queued_ms: int
    started_ms: int
    finished_ms: int | None
    cpu_us: int | None

    @property
    def wait_ms(self) -> int:
        """From its place in the queue to its start."""
        return max(0, self.started_ms - self.queued_ms)

    @property
    def run_ms(self) -> int | None:
        return None if self.finished_ms is None else self.finished_ms - self.started_ms


class ThreadRow(NamedTuple):
    """What one thread did, in order: its spans never overlap."""

    process: int | None
    name: str
    spans: list[Span]


class Spread(NamedTuple):
    """How values spread; the percentiles are values that occurred (nearest rank)."""

    mean: float
    p50: float
    p95: float
    max: float


def rows_of(spans: Iterable[Span]) -> list[ThreadRow]:
    """A row for each thread, by process and name.

    Spans whose thread is not known share rows of their own, ``unknown_0`` and on, as many as it
    takes for none to overlap another.
    """
    known: dict[tuple[int | None, str], list[Span]] = {}
    unknown: dict[int | None, list[Span]] = {}
    for span in sorted(spans, key=lambda one: (one.started_ms, one.index, one.attempt)):
        if span.thread:
            known.setdefault((span.process, span.thread), []).append(span)
        else:
            unknown.setdefault(span.process, []).append(span)
    rows = [ThreadRow(process, name, row) for (process, name), row in known.items()]
    for process, strays in unknown.items():
        lanes = enumerate(_lanes(strays))
        rows += [ThreadRow(process, f"unknown_{n}", lane) for n, lane in lanes]
    return sorted(rows, key=lambda row: (row.process or 0, _natural(row.name)))


def _lanes(spans: Iterable[Span]) -> list[list[Span]]:
    """As few rows as it takes; the spans come in the order of their starts."""
    lanes: list[list[Span]] = []
    free: list[tuple[float, int]] = []  # when each lane is free again
    for span in spans:
        if free and free[0][0] <= span.started_ms:
            lane = heappop(free)[1]
        else:
            lane = len(lanes)
            lanes.append([])
        lanes[lane].append(span)
        heappush(free, (_end(span), lane))
    return lanes


def _end(span: Span) -> float:
    return float("inf") if span.finished_ms is None else span.finished_ms


def _natural(name: str) -> list[tuple[int, str]]:
    """``pool_2`` before ``pool_10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def levels(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """How many ran at once from each moment on, wherever that changed.

    A span that ends in the millisecond in which another starts is not counted with it.
    """
    changes: dict[int, int] = {}
    for span in spans:
        changes[span.started_ms] = changes.get(span.started_ms, 0) + 1
        if span.finished_ms is not None:
            changes[span.finished_ms] = changes.get(span.finished_ms, 0) - 1
    level, found = 0, []
    for moment, change in sorted(changes.items()):
        if change:
            level += change
            found.append((moment, level))
    return found


def peak(spans: Sequence[Span]) -> int:
    """The most that ran at once, as far as milliseconds can tell."""
    return max([level for _, level in levels(spans)], default=min(1, len(spans)))


def spread(values: Iterable[float]) -> Spread | None:
    """None of no values."""
    ranked = sorted(values)
    if not ranked:
        return None
    p50, p95 = (ranked[ceil(len(ranked) * share) - 1] for share in (0.5, 0.95))
    return Spread(sum(ranked) / len(ranked), p50, p95, ranked[-1])
