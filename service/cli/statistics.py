"""A timeline's statistics as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service.cli.terminal import in_a_line
from service.cli.wording import duration

COLUMNS = ("mean", "p50", "p95", "max")
WIDTH = 10


def statistics_lines(statistics: Mapping[str, Any]) -> list[str]:
    """A table of those that are distributions, then the single numbers."""
    spread = {name: values for name, values in statistics.items() if isinstance(values, Mapping)}
    left = max((len(_title(name)) for name in statistics), default=0) + 1
    lines = [" " * left + _cells(COLUMNS)] if spread else []
    for name, values in spread.items():
        cells = _cells(_value(name, values.get(column)) for column in COLUMNS)
        lines.append(f"{_title(name):<{left}}{cells}")
    for name, value in statistics.items():
        if name not in spread and value is not None:
            lines.append(f"{_title(name):<{left}}{_cells([_value(name, value)])}")
    return lines


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"{text:>{WIDTH}}" for text in texts)


def _title(name: str) -> str:
    return in_a_line(name.removesuffix("_ms").replace("_", " "))


def _value(name: str, value: Any) -> str:
    if not isinstance(value, int | float):
        return in_a_line(value) or "-"
    return duration(value / 1000) if name.endswith("_ms") else f"{value:g}"
