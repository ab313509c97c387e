"""How far a batch is: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from service.cli.terminal import drawing, is_terminal
from service.cli.wording import counts_text, duration, rate, state

if TYPE_CHECKING:
    from service.client import Batch

LINE_EVERY_S = 30.0
STEPS = 10
"""Lines for a batch that does not take long: one for each tenth of it."""


@contextmanager
def progress(stream: TextIO) -> Iterator[Callable[[Batch], None]]:
    """Yields what is to be called with each newer state of the batch."""
    console = drawing(stream)
    if not is_terminal(stream) or console.is_dumb_terminal:
        yield Lines(stream).show
        return
    from service.cli.bar import Bar

    with Bar(console) as bar:
        yield bar.show


class Lines:
    """A line when the batch changes its status, is a tenth further, or half a minute older."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._shown: tuple[str, int] | None = None
        self._shown_at = 0.0

    def show(self, batch: Batch) -> None:
        if batch.ended:
            return  # the caller tells the end
        reached = batch.status, batch.counts.ended * STEPS // max(1, batch.counts.total)
        if reached == self._shown and self._clock() < self._shown_at + LINE_EVERY_S:
            return
        self._shown, self._shown_at = reached, self._clock()
        self._stream.write(line(batch) + "\n")
        self._stream.flush()


def line(batch: Batch) -> str:
    """``running 31/100: 29 succeeded, 2 failed, 8 running, 61 queued; 2.5/s, 28.0 s left``"""
    speed, left = rate(batch), batch.eta_s
    pace = [f"{speed:.1f}/s"] if speed else []
    pace += [f"{duration(left)} left"] if left is not None else []
    text = f"{state(batch)} {batch.counts.ended}/{batch.counts.total}"
    return f"{text}: {counts_text(batch)}" + (f"; {', '.join(pace)}" if pace else "")
