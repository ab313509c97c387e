"""What a topic found: tables for people, charts, and which goals are met."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil


class NotMeasured(Exception):
    """Something could not be had or did not run; the message is the reason."""


@dataclass(frozen=True)
class Spread:
    """One thing measured in several rounds."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = tuple(values)
        if not found:
            raise NotMeasured("no round of it came to its end")
        return cls(found)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def shown(self, digits: int = 0) -> str:
        """The median, and between what it lay."""
        text = f"{self.median:,.{digits}f}"
        if len(self.values) == 1:
            return text
        return f"{text} ({min(self.values):,.{digits}f} to {max(self.values):,.{digits}f})"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent are not above."""
    ordered = sorted(values)
    return ordered[max(1, ceil(len(ordered) * percent / 100)) - 1]


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Bar:
    label: str
    spread: Spread
    ours: bool = False


@dataclass(frozen=True)
class Chart:
    title: str
    unit: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Goal:
    """``found`` says what was measured, against ``wanted``."""

    wanted: str
    found: str
    met: bool


@dataclass
class Finding:
    """All that one topic found."""

    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Who was not measured, and why."""
