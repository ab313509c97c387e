"""Results as CSV (RFC 4180), the same from the service and from the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from service.json_text import one_line

COLUMNS = (
    "index",
    "custom_id",
    "job_id",
    "type",
    "status",
    "error_code",
    "error_detail",
    "result",
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_header() -> str:
    return _csv([COLUMNS])


def csv_rows(lines: Iterable[Mapping[str, Any]]) -> str:
    """A row for each result. A cell that a spreadsheet would take for a formula is quoted
    with ``'``."""
    return _csv(map(_cells, lines))


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _cells(line: Mapping[str, Any]) -> list[Any]:
    error = line["error"] or {}
    values = {
        **line,
        "error_code": error.get("code"),
        "error_detail": error.get("detail"),
        "result": "" if line["result"] is None else _json(line["result"]),
    }
    return [_safe(values[column]) for column in COLUMNS]


def _json(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _safe(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
