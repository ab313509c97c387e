"""The progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.cli.wording import STYLES, counts, duration, rate, state

if TYPE_CHECKING:
    from service.client import Batch


class Bar:
    """Two lines that are drawn over: the bar, and below it the counts, rate and time left."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Bar:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, batch: Batch) -> None:
        self._live.update(drawn(batch), refresh=True)


def drawn(batch: Batch) -> Group:
    total, done = batch.counts.total, batch.counts.ended
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True, justify="right")
    name = Text(state(batch), style=STYLES.get(state(batch), ""))
    bar.add_row(name, ProgressBar(total=max(1, total), completed=done), f"{done}/{total}")
    return Group(bar, _counts(batch))


def _counts(batch: Batch) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for name, count in counts(batch):
        text.append(f"{count} {name}  ", STYLES[name])
    speed = rate(batch)
    if speed:
        text.append(f"{speed:.1f}/s  ")
    if batch.eta_s is not None:
        text.append(f"{duration(batch.eta_s)} left")
    return text
