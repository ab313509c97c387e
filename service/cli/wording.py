"""Batches in words, for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from service.cli.terminal import in_a_line

if TYPE_CHECKING:
    from service.client import Batch, Concurrency

STYLES = {
    "succeeded": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "running": "cyan",
    "queued": "dim",
    "crashed": "red",
    "handed_back": "yellow",
}


def state(batch: Batch) -> str:
    """One word: how it ended, or what it does."""
    return batch.outcome or batch.status


def duration(seconds: float | None) -> str:
    """``0.25 s``, ``12.2 s``, ``3 min 20 s``, ``2 h 5 min``; whole seconds stay whole."""
    if seconds is None:
        return "-"
    if isinstance(seconds, int) and seconds < 120:
        return f"{seconds} s"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def amount(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def age(seconds: float) -> str:
    """One unit is enough: ``40 s``, ``5 min``, ``3 h``, ``2 d``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def local_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def labels_text(batch: Batch) -> str:
    return " ".join(in_a_line(f"{name}={value}") for name, value in batch.labels.items())


def counts(batch: Batch) -> list[tuple[str, int]]:
    """Those that are not nought, by what is worth knowing first."""
    order = ("succeeded", "failed", "cancelled", "running", "queued")
    found = ((name, getattr(batch.counts, name)) for name in order)
    return [(name, count) for name, count in found if count]


def counts_text(batch: Batch) -> str:
    """``29 succeeded, 2 failed, 8 running``"""
    return ", ".join(f"{count} {name}" for name, count in counts(batch))


def at_once(concurrency: Concurrency) -> str:
    if concurrency.average is None:
        return ""
    return f"{concurrency.average:g} at once on average, {concurrency.peak} at most"


def rate(batch: Batch) -> float | None:
    """Ended jobs a second."""
    return batch.counts.ended / batch.elapsed_s if batch.elapsed_s else None


def ending(batch: Batch) -> str:
    """The last line of a watch."""
    took = f" in {duration(batch.elapsed_s)}" if batch.elapsed_s is not None else ""
    threads = at_once(batch.concurrency)
    return f"{state(batch)}: {counts_text(batch)}{took}" + (threads and f"; {threads}")
