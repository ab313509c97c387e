"""Spans of time as rows of characters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, starmap
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from service.cli.terminal import in_a_line, shortened
from service.cli.wording import STYLES, duration

if TYPE_CHECKING:
    from rich.text import Text

MOST_NAME = 24
TICK = 12
"""Columns from one time on the axis to the next, about."""

Spans = Sequence[Mapping[str, Any]]


class Glyphs(NamedTuple):
    """``busy`` take turns, so that two jobs in a row can be told apart."""

    busy: tuple[str, str]
    partly: str
    idle: str = " "

    @property
    def sample(self) -> str:
        return "".join(self.busy) + self.partly + self.idle


BLOCKS = Glyphs(busy=("█", "▓"), partly="░")
LETTERS = Glyphs(busy=("#", "="), partly=".")

BAD = {"failed": "x", "crashed": "!", "cancelled": "-", "handed_back": "<"}
"""Drawn instead of a glyph, so that it is seen without colours too."""


class Chart:
    """``columns`` characters for ``end_ms`` of time, behind names of ``indent`` characters."""

    def __init__(self, end_ms: float, *, indent: int, columns: int, glyphs: Glyphs) -> None:
        self._end_ms = end_ms
        self._cell_ms = max(end_ms, 1.0) / columns
        self._indent = indent
        self._columns = columns
        self._glyphs = glyphs

    def lines(self, rows: Iterable[tuple[str, Spans]]) -> list[Text]:
        from rich.text import Text

        return [Text(self._axis(), style="dim"), *starmap(self._line, rows)]

    def _axis(self) -> str:
        """Round times, each above its column."""
        step_s = _round_step(self._cell_ms * TICK / 1000)
        axis, n = " " * self._indent, 0
        while (column := int(n * step_s * 1000 / self._cell_ms)) <= self._columns - TICK / 2:
            axis = axis.ljust(self._indent + column) + _moment(n * step_s)
            n += 1
        return axis

    def _line(self, name: str, spans: Spans) -> Text:
        from rich.text import Text

        line = Text(shortened(name, self._indent - 1))
        line.pad_right(self._indent - line.cell_len)
        for style, cells in groupby(self._cells(spans), key=itemgetter(1)):
            line.append("".join(character for character, _ in cells), style)
        return line

    def _cells(self, spans: Spans) -> list[tuple[str, str]]:
        """A character and its style for each column."""
        cells = [(self._glyphs.idle, "")] * self._columns
        weights = [0.0] * self._columns  # of the span that a column shows
        for n, span in enumerate(sorted(spans, key=lambda span: float(span["start_ms"]))):
            first, last = self._column(float(span["start_ms"])), self._column(self._end_of(span))
            for column in range(first, last + 1):
                share_ms = self._share_ms(column, span)
                # what went wrong is not hidden by what went right
                weight = share_ms + (self._cell_ms if span["status"] in BAD else 0)
                if weight >= weights[column] and (share_ms > 0 or first == last):
                    weights[column] = weight
                    cells[column] = self._glyph(span, n, share_ms), _style(span)
            self._label(cells, span, first, last)
        return cells

    def _column(self, moment_ms: float) -> int:
        return min(self._columns - 1, max(0, int(moment_ms / self._cell_ms)))

    def _end_of(self, span: Mapping[str, Any]) -> float:
        """What has not ended reaches to the end of the chart, which is now."""
        return self._end_ms if span["end_ms"] is None else float(span["end_ms"])

    def _share_ms(self, column: int, span: Mapping[str, Any]) -> float:
        begin = max(float(span["start_ms"]), column * self._cell_ms)
        return min(self._end_of(span), (column + 1) * self._cell_ms) - begin

    def _glyph(self, span: Mapping[str, Any], n: int, share_ms: float) -> str:
        if span["status"] in BAD:
            return BAD[span["status"]]
        return self._glyphs.busy[n % 2] if share_ms >= self._cell_ms / 2 else self._glyphs.partly

    def _label(
        self, cells: list[tuple[str, str]], span: Mapping[str, Any], first: int, last: int
    ) -> None:
        """The job's name, where there is room for it and a column on either side."""
        name = in_a_line(span["custom_id"])
        if not name.isascii() or not name:  # a character may be two columns wide
            name = f"#{span['index']}"
        if len(name) + 2 <= last - first:
            style = f"reverse {_style(span)}".strip()
            for column, character in enumerate(name, first + 1):
                cells[column] = character, style


def _round_step(least_s: float) -> float:
    """The next of 0.001, 0.002, 0.005, 0.01 … s; of minutes and hours beyond a minute."""
    for unit_s, factors in ((1.0, _DECADES), (60.0, (1, 2, 5, 10, 30)), (3600.0, (1, 2, 6, 12))):
        for factor in factors:
            if factor * unit_s >= least_s:
                return factor * unit_s
    return 86_400.0 * ceil(least_s / 86_400)


_DECADES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


def _moment(seconds: float) -> str:
    return f"{round(seconds, 3):g} s" if seconds < 120 else duration(round(seconds))


def chart_of(document: Mapping[str, Any], *, width: int, glyphs: Glyphs) -> Chart:
    """As long as the batch took until now, since it was submitted."""
    spans = [span for thread in document["threads"] for span in thread["spans"]]
    ends = [float(span["end_ms"]) for span in spans if span["end_ms"] is not None]
    first_ms = min((float(span["start_ms"]) for span in spans), default=0.0)
    now_ms = first_ms + 1000 * float(document["elapsed_s"] or 0)
    names = [len(name) for name, _ in rows_of(document)]
    indent = min(MOST_NAME, max([0, *names])) + 1
    return Chart(max([now_ms, *ends]), indent=indent, columns=width - indent, glyphs=glyphs)


def rows_of(document: Mapping[str, Any]) -> list[tuple[str, Spans]]:
    """Names and spans; threads of several processes may have the same names."""
    threads = document["threads"]
    several = len({thread.get("process") for thread in threads}) > 1
    return [
        (in_a_line(f"{thread['process']}/{thread['name']}" if several else thread["name"]),
         thread["spans"])
        for thread in threads
    ]  # fmt: skip


def _style(span: Mapping[str, Any]) -> str:
    return STYLES.get(span["status"], "")
